"""Several stations together: exact where all agree, robust where one lies."""

import math

import pytest
import torch

from radiofix.classic.multilateration import Heard, Trust, multilaterate
from radiofix.physics.rotation import rotation

HEIGHT = 1.5
STATIONS = torch.tensor(
    [[0.0, 0.0, 6.0], [52.0, 0.0, 6.0], [0.0, 260.0, 6.0], [52.0, 260.0, 6.0]], dtype=torch.float64
)
FACING = torch.tensor(
    [[0.0, 0, 0], [math.pi, 0, 0], [0.0, 0, 0], [math.pi, 0, 0]], dtype=torch.float64
)


def users(count=200):
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return unit * torch.tensor([42.0, 400.0]) + torch.tensor([5.0, -70.0])


def heard(place, stations=STATIONS, facing=FACING):
    """What geometry makes stations hear, without any error."""
    away = torch.nn.functional.pad(place, (0, 1), value=HEIGHT)[:, None] - stations
    distance = away.norm(dim=-1)
    axis = rotation(facing)[:, :, 1]
    return Heard(distance, (away * axis).sum(-1) / distance, stations, facing)


def off(placed, place):
    return (placed.position - place).norm(dim=-1)


def test_stations_that_agree_place_users_exactly():
    place = users()
    placed = multilaterate(heard(place))
    assert off(placed, place).max() < 1e-3
    assert placed.cost.max() < 1e-6


def test_one_range_round_a_corner_moves_nobody_far():
    place = users()
    told = heard(place)
    told.range[:, 2] += 25.0
    placed = multilaterate(told)
    assert off(placed, place).quantile(0.95) < 0.3
    assert placed.cost.min() > 1.0


def test_ways_too_long_are_forgiven_and_ways_too_short_are_not():
    place = torch.tensor([[20.0, 100.0]], dtype=torch.float64)
    longer, shorter = heard(place), heard(place)
    longer.range[:, 1] += 20.0
    shorter.range[:, 1] -= 20.0
    cost = [float(multilaterate(told).cost) for told in (longer, shorter)]
    assert cost[0] < math.log(1 + (20 / 0.7) ** 2) + 0.1
    assert cost[1] > cost[0] + 3


def test_one_station_places_by_range_and_direction():
    place = users()
    placed = multilaterate(heard(place, STATIONS[:1], FACING[:1]))
    near_broadside = (place[:, 1].abs() / place[:, 0]) < 3
    assert off(placed, place)[near_broadside].max() < 0.05


def test_directions_alone_triangulate():
    place = users()
    told = heard(place)
    near = told.range < 200
    told.range[:, 1:] = torch.nan
    inside = (place[:, 1] > 40) & (place[:, 1] < 220) & near.all(1)
    placed = multilaterate(told, Trust(range=1e4))
    assert off(placed, place)[inside].median() < 0.1


def test_a_clock_offset_is_found_where_it_may_be_any():
    place = users()
    told = heard(place)
    offset = torch.linspace(-28, 28, len(place), dtype=torch.float64)
    late = Heard(told.range + offset[:, None], told.direction, STATIONS, FACING)
    trusting = multilaterate(late)
    asking = multilaterate(late, Trust(clock_offset=30.0))
    assert off(trusting, place).median() > 1.0
    assert off(asking, place).quantile(0.9) < 0.05
    solved = off(asking, place) < 0.05
    assert (asking.offset - offset)[solved].abs().max() < 0.1


def test_users_stand_in_front_of_stations_unless_these_look_all_round():
    behind = torch.tensor([[-20.0, 5.0]], dtype=torch.float64)
    told = heard(behind, STATIONS[:1], FACING[:1])
    mirrored = torch.tensor([[20.0, 5.0]], dtype=torch.float64)
    assert off(multilaterate(told), mirrored).max() < 0.01
    all_round = multilaterate(told, Trust(front=False))
    assert min(off(all_round, behind).max(), off(all_round, mirrored).max()) < 0.01


def test_cosines_an_alias_apart_are_the_same():
    place = users()
    told = heard(place)
    aliased = Heard(told.range, told.direction - 2.0 * (told.direction > 0.9), STATIONS, FACING)
    assert off(multilaterate(aliased), place).max() < 1e-3


def test_a_station_that_heard_nothing_is_left_out_and_a_user_heard_by_none_is_nowhere():
    place = users(3)
    told = heard(place)
    told.range[0, 1] = told.direction[0, 1] = torch.nan
    told.range[2] = told.direction[2] = torch.nan
    placed = multilaterate(told)
    assert off(placed, place)[:2].max() < 1e-3
    assert placed.position[2].isnan().all()
    assert placed.cost[2] == torch.inf


def test_the_covariance_is_the_geometrys():
    place = torch.tensor([[26.0, 100.0]], dtype=torch.float64)
    told = heard(place)
    away = torch.nn.functional.pad(place, (0, 1), value=HEIGHT) - STATIONS
    toward = away / away.norm(dim=-1, keepdim=True)
    axis = rotation(FACING)[:, :, 1]
    turning = (axis - (axis * toward).sum(-1, keepdim=True) * toward) / away.norm(dim=-1)[:, None]
    information = toward[:, :2].mT @ toward[:, :2] / 0.7**2
    information = information + turning[:, :2].mT @ turning[:, :2] / 0.03**2
    expected = torch.linalg.inv(information)
    assert torch.allclose(multilaterate(told).covariance[0], expected, rtol=1e-3)


@pytest.mark.parametrize("wrong", [{"range": 0.0}, {"direction": -1.0}, {"clock_offset": -1.0}])
def test_deviations_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Trust(**wrong)
