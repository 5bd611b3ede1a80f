"""Masks hide as much as they say, where they say, anew for every link."""

from __future__ import annotations

import pytest
import torch

from objectives.views import any_grid, generator
from radiofix.objectives.masking import (
    AntennaSubcarrierMask,
    GridMask,
    StripMask,
    antenna_subcarrier_mask,
    grid_mask,
    strip_mask,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("run", [1, 2, 4])
def test_the_union_of_antennas_and_subcarriers_is_hidden(run: int) -> None:
    hidden = antenna_subcarrier_mask(50, 8, 16, 4, 8, generator(), CPU, run)
    antenna, subcarrier = hidden.all(2), hidden.all(1)
    assert bool((antenna.sum(1) == 4).all())
    assert bool((subcarrier.sum(1) == 8).all())
    assert torch.equal(hidden, antenna[:, :, None] | subcarrier[:, None, :])


def test_every_antenna_is_hidden_as_often_as_the_others_and_links_differ() -> None:
    hidden = antenna_subcarrier_mask(4000, 8, 16, 2, 4, generator(), CPU, run=2)
    share = hidden.all(2).float().mean(0)
    torch.testing.assert_close(share, torch.full((8,), 0.25), atol=0.03, rtol=0)
    assert len(hidden.all(1).unique(dim=0)) > 20


@pytest.mark.parametrize("run", [2, 4, 8])
def test_runs_are_neighbours_that_begin_anywhere(run: int) -> None:
    hidden = antenna_subcarrier_mask(200, 8, 32, 0, run, generator(), CPU, run).any(1)
    starts = (hidden & ~hidden.roll(1, 1)).sum(1)
    assert bool((hidden.sum(1) == run).all())
    assert bool((starts == 1).all())
    first = (hidden & ~hidden.roll(1, 1)).float().argmax(1)
    assert len((first % run).unique()) == run


def test_grid_hides_whole_patches() -> None:
    hidden = grid_mask(50, 8, 16, 3, (4, 8), generator(), CPU)
    patches = hidden.unflatten(1, (2, 4)).unflatten(3, (2, 8))
    assert torch.equal(patches.all(4).all(2), patches.any(4).any(2))
    assert bool((patches.all(4).all(2).sum((1, 2)) == 3).all())


def test_strips_are_in_one_piece_and_reach_every_edge() -> None:
    hidden = strip_mask(300, 8, 16, 3, 5, generator(), CPU)
    antenna, subcarrier = hidden.all(2), hidden.all(1)
    for axis, count in ((antenna, 3), (subcarrier, 5)):
        assert bool((axis.sum(1) == count).all())
        assert bool((axis.int().diff(dim=1).abs().sum(1) <= 2).all())
        assert bool(axis.any(0).all())


@pytest.mark.parametrize(
    "mask", [AntennaSubcarrierMask(4, 8, 2), GridMask(3, (4, 4)), StripMask(3, 5)]
)
def test_the_generator_alone_decides(mask: AntennaSubcarrierMask) -> None:
    first, again, other = (mask(any_grid(9), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_cannot_be_masked_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="8 of 8 antennas masked: some must stay visible"):
        antenna_subcarrier_mask(1, 8, 16, 8, 8, generator(), CPU)
    with pytest.raises(ValueError, match="run=4 must divide both 8 antennas and the 6 masked"):
        antenna_subcarrier_mask(1, 8, 16, 6, 8, generator(), CPU, run=4)
    with pytest.raises(ValueError, match="do not divide into patches of 3"):
        grid_mask(1, 8, 16, 1, (3, 4), generator(), CPU)
