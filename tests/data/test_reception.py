"""Stations of measured CSI: what is told of arrays of which less is made than they could tell."""

import itertools
import math
import re
import warnings
from pathlib import Path

import pytest
import torch

from radiofix.data.reception import Reception
from radiofix.physics.arrays import Array, ula, upa
from radiofix.physics.channel import Channel
from radiofix.physics.panels import in_line
from radiofix.physics.strongest import strongest_wave
from radiofix.types import Station

CARRIER, SUBCARRIERS = 3.5e9, 64
FREQUENCY = (torch.arange(SUBCARRIERS).double() - 31.5) * 20e6 / SUBCARRIERS
PAGE = Path(__file__).parents[2] / "docs/channels.md"


def reception(array):
    station = Station(torch.zeros(3).double(), torch.zeros(3), CARRIER, "mast")
    positions = array.positions.double()
    return Reception((station,), FREQUENCY[None], positions[None])


def test_of_antennas_at_many_heights_it_is_told_from_where_waves_are_lost():
    told = "file: the antennas of station mast span 3.5 .* from 9 degrees below .* like columns"
    with pytest.warns(UserWarning, match=told):
        reception(Array(upa(8, 4).positions[:-1])).checked("file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in (ula(32), upa(1, 8), upa(2, 16), upa(8, 4)):
            reception(array).checked("file")


def found(array, below, level):
    """Of the amplitude of one clean wave."""
    down, u = math.radians(below), 0.19
    way = torch.tensor([math.sqrt(math.cos(down) ** 2 - u**2), u, -math.sin(down)]).double()
    turned = torch.exp(2j * math.pi * (array.positions.double() @ way))
    csi = turned[:, None] * torch.exp(-2j * math.pi * FREQUENCY * 2e-7)
    station = Station(torch.zeros(3).double(), torch.zeros(3).double(), CARRIER)
    sounding = Channel(20e6, SUBCARRIERS, array).describe(csi[None].to(torch.complex64), station)
    if not level:
        sounding = in_line(sounding)
    wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
    return float(wave.gain.abs())


@pytest.mark.parametrize(
    ("array", "level"),
    [("ula(32)", False), *itertools.product(["upa(4, 8)", "upa(8, 4)"], [False, True])],
)
def test_what_the_page_says_of_waves_from_below_is_so(array, level):
    name = ("taken as level, `" if level else "(?!taken).*`") + re.escape(array)
    row = re.search(rf"^\| {name}` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    made = {"ula(32)": ula(32), "upa(4, 8)": upa(4, 8), "upa(8, 4)": upa(8, 4)}[array]
    measured = [found(made, below, level) for below in (0, 5, 10, 15, 20)]
    assert row.group(1).split(" | ") == [f"{share:.2f}" for share in measured]


def test_antennas_told_in_another_unit_are_refused():
    with pytest.raises(ValueError, match="station mast span 7000 wavelengths, at most 512"):
        reception(ula(8, 1000.0)).checked("file")
