"""Ways to find a phone that several stations hear."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.classic.fingerprint import fit
from radiofix.classic.multilateration import Heard, multilaterate
from radiofix.classic.waves import Waves
from radiofix.demo.links import Links
from radiofix.models import pretrained
from radiofix.models.fusing import Fused, Fusion
from radiofix.models.localizer import Localizer
from radiofix.training.checkpoints import RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.recipe import FinetuneRecipe
from radiofix.types import SPEED_OF_LIGHT, Sounding

Floats = NDArray[np.float64]


def learnt(recipe: FinetuneRecipe, start: str | None, quiet: bool) -> Localizer:
    """A network trained by the recipe, from a pretrained one or from scratch."""
    own = replace(recipe, pretrained=start)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        finetune(single(own.training), own, RunFolder(run), quiet=quiet)
        return pretrained.load(run)


def joined(localizer: Localizer, links: Links) -> Fused:
    """What a network says of each link, a user's stations joined."""
    return Fusion().join(localizer.fix(links.sounding), links.row, len(links.users))


def looked_up(known: Links, aside: Links, links: Links, seed: int) -> Floats:
    """Labelled points with the most similar channels; a station counts by 1 / its error squared.

    Feature and number of neighbours are those that do best on the points kept aside.
    """
    total, weights = np.zeros((len(links.users), 3)), np.zeros((len(links.users), 1))
    for station in range(links.stations):
        ours, theirs = known.station == station, aside.station == station
        prints = fit(
            known.sounding[ours],
            torch.from_numpy(known.position[ours]),
            aside.sounding[theirs],
            torch.from_numpy(aside.position[theirs]),
            seed=seed,
        )
        asked = links.station == station
        weight = max(prints.validation_error, 1e-3) ** -2
        row = links.row[asked]
        total[row] += weight * prints.locate(links.sounding[asked]).numpy()
        weights[row] += weight
    found: Floats = total / weights
    return found


def multilaterated(finder: Callable[[Sounding], Waves], links: Links, height: float) -> Floats:
    """First waves of all stations, their delays and directions robustly joined: no label."""
    first = finder(links.sounding).first()
    nobody = torch.full((len(links.users), links.stations), torch.nan, dtype=torch.float64)
    row, station = torch.from_numpy(links.row), torch.from_numpy(links.station)
    ranges, direction = nobody.clone(), nobody
    ranges[row, station] = SPEED_OF_LIGHT * first.delay.double()
    direction[row, station] = first.direction.double()
    position = torch.zeros(links.stations, 3, dtype=torch.float64)
    orientation = torch.zeros_like(position)
    position[station] = links.sounding.station_position.double()
    orientation[station] = links.sounding.station_orientation.double()
    heard = Heard(ranges, direction, position, orientation)
    flat = multilaterate(heard, height=height).position.numpy()
    # Whom no station told of, the middle between them.
    flat = np.where(np.isnan(flat), position[:, :2].mean(0).numpy(), flat)
    return np.column_stack([flat, np.full(len(flat), height)])
