"""What is left of waves behind edges: circles that cross where the user is."""

import math

import pytest
import torch

from radiofix.models.circles import Circles
from radiofix.models.echoes import FAN, headings


def circles(centres, radii, waves, sight=1e3, present=None):
    count = len(radii)
    there = torch.ones(1, count, dtype=torch.bool) if present is None else torch.tensor([present])
    return Circles(
        torch.tensor([centres]),
        torch.tensor([radii]),
        torch.full((1, count, FAN), sight),
        torch.tensor(waves),
        there,
    )


def ways(radius):
    """A fan's ends round the origin."""
    return radius * headings()[None]


FIRST = torch.zeros(1, FAN, dtype=torch.long)
CENTRES, RADII = [[0.0, 0.0], [100.0, 0.0]], [80.0, 60.0]
"""80, 60, 100: they cross at (64, 48) and (64, -48)."""


def test_the_ways_beside_a_crossing_are_moved_onto_it_and_all_others_stay():
    found = circles(CENTRES, RADII, [0, 1]).crossed(ways(80.0), FIRST)
    moved = (found - ways(80.0)).norm(dim=-1)[0] > 1e-3
    nearest = FAN * math.atan2(48, 64) / (2 * math.pi)
    assert torch.where(moved)[0].tolist() == [round(nearest), FAN - round(nearest)]
    expected = torch.tensor([[64.0, 48.0], [64.0, -48.0]])
    torch.testing.assert_close(found[0][moved], expected, atol=0.01, rtol=0)


def test_circles_of_the_same_wave_absent_or_out_of_sight_move_nothing():
    for other in (
        circles(CENTRES, RADII, [0, 0]),
        circles(CENTRES, RADII, [0, 1], present=[True, False]),
        circles(CENTRES, RADII, [0, 1], sight=40.0),
    ):
        torch.testing.assert_close(other.crossed(ways(80.0), FIRST), ways(80.0))


def test_of_several_crossings_within_the_gap_the_nearest_is_taken():
    gap = 2 * math.pi / FAN * 80
    # Circles from far away in the direction of y run almost straight, at 0.3 and 0.4 gaps.
    centres = [[0.0, 0.0], [0.0, 1000.3 * gap], [0.0, 1000.4 * gap]]
    far = circles(centres, [80.0, 1000 * gap, 1000 * gap], [0, 1, 2], sight=1e6)
    found = far.crossed(ways(80.0)[:, :1], FIRST[:, :1])
    # And as much higher as that circle bends down over 80 m.
    bend = 80.0**2 / (2 * 1000 * gap)
    assert float(found[0, 0, 1]) == pytest.approx(0.3 * gap + bend, rel=0.01)
    assert float(found.norm()) == pytest.approx(80.0, rel=1e-5)


def test_it_is_told_how_far_places_are_outside_in_sight_alone():
    seen = circles(CENTRES, RADII, [0, 1], sight=70.0)
    off = seen.off(torch.tensor([[[50.0, 0.0], [0.0, 60.0], [0.0, -75.0]]]))[0]
    torch.testing.assert_close(off[0], torch.tensor([-30.0, -10.0]))
    assert float(off[1, 0]) == pytest.approx(-20.0)
    assert torch.isinf(off[1, 1])
    assert torch.isinf(off[2]).all()
