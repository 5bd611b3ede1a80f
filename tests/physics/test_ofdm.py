from __future__ import annotations

import pytest
import torch

from radiofix.physics.ofdm import (
    Pilots,
    comb,
    nr_spacing,
    nr_subcarriers,
    srs_pilots,
    subcarrier_index,
)


def test_the_carrier_is_in_the_middle_of_even_and_odd_grids():
    assert subcarrier_index(4).tolist() == [-2, -1, 0, 1]
    assert subcarrier_index(5).tolist() == [-2, -1, 0, 1, 2]


def test_the_papers_count_from_zero():
    assert subcarrier_index(3, first=0).tolist() == [0, 1, 2]


def test_comb_has_pilots_at_its_crossings_only():
    expected = torch.zeros(4, 7, dtype=torch.bool)
    for antenna in (0, 2):
        for subcarrier in (1, 4):
            expected[antenna, subcarrier] = True
    assert torch.equal(comb(4, 7, every_antenna=2, every_subcarrier=3, offset=1), expected)


def test_offsets_share_out_every_subcarrier_once():
    masks = [Pilots(every_subcarrier=4, offset=o).mask(2, 26) for o in range(4)]
    assert (torch.stack(masks).sum(0) == 1).all()


def test_nr_doubles_its_spacing_with_each_numerology():
    assert [nr_spacing(mu) for mu in range(5)] == [15e3, 30e3, 60e3, 120e3, 240e3]


def test_a_resource_block_has_twelve_subcarriers():
    assert nr_subcarriers(273) == 3276


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pilots(every_antenna=0), "every_antenna must be at least 1, got 0"),
        (lambda: Pilots(every_subcarrier=2, offset=2), "offset must be from 0 to 1"),
        (lambda: srs_pilots(3), "comb must be 2, 4 or 8, got 3"),
        (lambda: nr_spacing(7), "numerology must be a whole number from 0 to 6, got 7"),
        (lambda: nr_subcarriers(276), "resource_blocks must be .* 1 to 275, got 276"),
        (lambda: subcarrier_index(0), "subcarriers must be at least 1, got 0"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
