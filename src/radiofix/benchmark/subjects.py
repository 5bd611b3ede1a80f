"""All benches whose results make pages, by the name of their command."""

from __future__ import annotations

from radiofix.benchmark.lwlm.subject import SUBJECT as LWLM
from radiofix.benchmark.sigmap.subject import SUBJECT as SIGMAP

SUBJECTS = {subject.agenda.bench: subject for subject in (LWLM, SIGMAP)}
