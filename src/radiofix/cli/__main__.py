"""`python -m radiofix.cli`: the same as the command radiofix."""

import sys

from radiofix.cli import main

sys.exit(main())
