"""How many processors there are to compute with."""

from __future__ import annotations

import os
import sys


def usable() -> int:
    """That this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def all_but_one() -> int:
    """Of the usable ones, at least one: where one of them has clients to talk to."""
    return max(1, usable() - 1)
