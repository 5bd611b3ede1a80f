"""Stations of measured CSI: what is told of arrays of which less is made than they could tell."""

import math
import re
import warnings
from pathlib import Path

import pytest
import torch

from radiofix.data.reception import Reception
from radiofix.physics.arrays import ula, upa
from radiofix.physics.strongest import strongest_wave
from radiofix.types import Station

CARRIER, SUBCARRIERS = 3.5e9, 64
FREQUENCY = (torch.arange(SUBCARRIERS).double() - 31.5) * 20e6 / SUBCARRIERS
PAGE = Path(__file__).parents[2] / "docs/channels.md"


def reception(array):
    station = Station(torch.zeros(3).double(), torch.zeros(3), CARRIER, "mast")
    positions = array.positions.double()
    return Reception((station,), FREQUENCY[None], positions[None])


def test_of_a_panel_it_is_told_from_where_waves_are_lost():
    told = "file: the antennas of station mast span 3.5 .* from 9 degrees below .* one row"
    with pytest.warns(UserWarning, match=told):
        reception(upa(8, 4)).checked("file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in (ula(32), upa(1, 8), upa(2, 16)):
            reception(array).checked("file")


def found(array, below):
    """Of the amplitude of one clean wave."""
    down, u = math.radians(below), 0.19
    way = torch.tensor([math.sqrt(math.cos(down) ** 2 - u**2), u, -math.sin(down)]).double()
    turned = torch.exp(2j * math.pi * (array.positions.double() @ way))
    csi = turned[:, None] * torch.exp(-2j * math.pi * FREQUENCY * 2e-7)
    antenna, frequency = array.positions.float()[None], FREQUENCY.float()[None]
    return float(strongest_wave(csi[None].to(torch.complex64), frequency, antenna).gain.abs())


@pytest.mark.parametrize("array", ["ula(32)", "upa(4, 8)", "upa(8, 4)"])
def test_what_the_page_says_of_waves_from_below_is_so(array):
    row = re.search(rf"^\| .*`{re.escape(array)}` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    made = {"ula(32)": ula(32), "upa(4, 8)": upa(4, 8), "upa(8, 4)": upa(8, 4)}[array]
    measured = [found(made, below) for below in (0, 5, 10, 15, 20)]
    assert row.group(1).split(" | ") == [f"{share:.2f}" for share in measured]
