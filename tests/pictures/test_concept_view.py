"""The drawings that explain words are true to the physics they explain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.pictures.concept_view import (
    CARRIER,
    LOSS,
    PICTURES,
    STATION,
    STATIONS,
    USER,
    WIDTH,
    csi_picture,
    masks_picture,
    street_paths,
    ways,
    witnesses_picture,
)
from radiofix.types import SPEED_OF_LIGHT

DOCS = Path(__file__).parents[2] / "docs"


def test_each_way_is_as_long_as_the_one_to_its_mirror_image() -> None:
    dx, low, high = USER[0] - STATION[0], STATION[1], USER[1]
    apart = [high - low, 2 * WIDTH - high - low, high + low, 2 * WIDTH - high + low]
    expected = [math.hypot(dx, dy) for dy in apart]
    assert [way.length for way in ways()] == pytest.approx(expected)
    assert [way.bounces for way in ways()] == [0, 1, 1, 2]


def test_walls_reflect_at_the_angle_that_they_are_met_at() -> None:
    for way in ways():
        slopes = np.diff(way.points, axis=0)
        assert np.allclose(np.abs(slopes[:, 1] / slopes[:, 0]), abs(slopes[0, 1] / slopes[0, 0]))
        assert all(y in (0.0, pytest.approx(WIDTH)) for y in way.points[1:-1, 1])


def test_the_csi_that_is_drawn_is_the_sum_of_the_ways() -> None:
    channel = Channel(20e6, 16, ula(4))
    csi = channel.synthesize(street_paths())[0].numpy()
    frequency = (np.arange(16) - 8) * 20e6 / 16
    wavelength = SPEED_OF_LIGHT / CARRIER
    expected = np.zeros((4, 16), complex)
    for way in ways():
        size = (-LOSS) ** way.bounces * wavelength / (4 * np.pi * way.length)
        turn = np.exp(-2j * np.pi * way.length * (CARRIER + frequency) / SPEED_OF_LIGHT)
        steer = np.exp(1j * np.pi * (np.arange(4) - 1.5) * np.sin(way.azimuth))
        expected += size * np.outer(steer, turn)
    np.testing.assert_allclose(csi, expected, atol=2e-3 * np.abs(expected).max())


def test_rings_of_paths_lie_on_peaks_of_the_power_that_is_drawn() -> None:
    profile = csi_picture().axes[2]
    (image,) = profile.images
    power = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    x, y = profile.lines[0].get_xydata()[0]
    row = int((y - low) / (high - low) * len(power))
    column = int((x - left) / (right - left) * power.shape[1])
    assert power[row - 2 : row + 3, column - 2 : column + 3].max() > -0.5


def test_ranges_of_witnesses_meet_at_the_user() -> None:
    rings = witnesses_picture().axes[0].patches[2:]
    assert len(rings) == len(STATIONS)
    for ring, place in zip(rings, STATIONS, strict=True):
        assert ring.get_radius() == pytest.approx(math.dist(place, USER))


def test_what_was_not_observed_is_drawn_as_gaps() -> None:
    whole, comb, hidden = (np.ma.asarray(a.images[0].get_array()) for a in masks_picture().axes)
    assert not np.ma.getmaskarray(whole).any()
    assert np.ma.getmaskarray(comb).mean() == 7 / 8
    assert np.ma.getmaskarray(hidden).mean() == 3 / 4


def test_every_drawing_is_there_and_on_its_page() -> None:
    page = (DOCS / "concepts.md").read_text()
    for name in PICTURES:
        assert (DOCS / f"pictures/concept-{name}.svg").is_file()
        assert f"pictures/concept-{name}.svg" in page
