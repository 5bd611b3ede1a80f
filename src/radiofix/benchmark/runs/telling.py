"""The map that a run is told of."""

from __future__ import annotations

import torch

from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.site import Site
from radiofix.data.store import open_paths
from radiofix.models.map_reading import read_map
from radiofix.models.site_map import SiteMap
from radiofix.models.wrong_maps import inexact


def map_of(run: Run, site: Site) -> SiteMap:
    """That of its users' store, its buildings as far off as the lesson says."""
    right = read_map(open_paths(site.store(run.lesson.users)))
    return inexact(right, run.lesson.map_error, torch.Generator().manual_seed(run.seed))
