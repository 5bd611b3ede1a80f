"""Several stations together: exact where all agree, robust where one lies."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

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


def test_ranges_alone_as_single_antennas_tell_them_trilaterate():
    place = users()
    told = heard(place)
    told.direction.fill_(torch.nan)
    assert off(multilaterate(told), place).max() < 1e-3


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
    asking = multilaterate(late, Trust(clock_offset=100.0))
    assert off(trusting, place).median() > 1.0
    assert off(asking, place).quantile(0.9) < 0.05
    solved = off(asking, place) < 0.05
    assert (asking.offset - offset)[solved].abs().max() < 0.1


def test_what_is_known_of_clocks_keeps_noise_from_being_told_as_an_offset():
    place = users()
    told = heard(place)
    generator = torch.Generator().manual_seed(1)
    noise = 1.5 * torch.randn(told.range.shape, generator=generator, dtype=torch.float64)
    aside = 0.03 * torch.randn(told.range.shape, generator=generator, dtype=torch.float64)
    noisy = Heard(told.range + noise, told.direction + aside, STATIONS, FACING)
    error = {
        deviation: off(multilaterate(noisy, Trust(clock_offset=deviation)), place).mean()
        for deviation in (0.0, 0.01, 3.0, 300.0)
    }
    # Clocks all but right are as good as right ones; the less is known of them the worse.
    assert abs(error[0.01] - error[0.0]) < 0.02 * error[0.0]
    assert error[0.0] < error[3.0] < error[300.0]


def test_an_offset_is_drawn_toward_none_by_as_much_as_least_squares_would():
    place = torch.tensor([[26.0, 130.0]], dtype=torch.float64)
    told = heard(place)
    late = Heard(told.range + 2.0, torch.full_like(told.range, torch.nan), STATIONS, FACING)
    deviation = 2.0
    placed = multilaterate(late, Trust(clock_offset=deviation))
    # In the middle of four stations the place stays; log1p of small residuals is their square.
    precision, prior = 4 / 0.7**2, 1 / deviation**2
    assert off(placed, place) < 0.05
    assert float(placed.offset) == pytest.approx(2.0 * precision / (precision + prior), abs=0.03)


def test_the_end_of_the_line_that_was_told_is_taken_where_both_look_alike():
    up_and_down = torch.tensor([[1.0, 200.0], [1.0, -200.0]], dtype=torch.float64)
    told = heard(up_and_down, STATIONS[:1], FACING[:1])
    assert (told.direction.abs() > 0.99).all()
    assert off(multilaterate(told), up_and_down).max() < 12.0
    swapped = Heard(told.range, -told.direction, STATIONS[:1], FACING[:1])
    assert off(multilaterate(swapped), up_and_down.flip(0)).max() < 12.0


def test_users_stand_in_front_of_stations_unless_these_look_all_round():
    behind = torch.tensor([[-20.0, 5.0]], dtype=torch.float64)
    told = heard(behind, STATIONS[:1], FACING[:1])
    mirrored = torch.tensor([[20.0, 5.0]], dtype=torch.float64)
    assert off(multilaterate(told), mirrored).max() < 0.01
    # A single station cannot tell the two apart; two that look another way each can.
    assert off(multilaterate(told, Trust(front=False)), mirrored).max() < 0.01
    crossed = FACING[:2].clone()
    crossed[1, 0] += math.pi / 2
    told = heard(behind, STATIONS[:2], crossed)
    assert off(multilaterate(told, Trust(front=False)), behind).max() < 0.01


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


def noisy(place, deviations, seed=1):
    """What stations hear of users with errors of these deviations, and that they are so large."""
    exact, generator = heard(place), torch.Generator().manual_seed(seed)
    metres, cosines = (d * torch.ones_like(exact.range) for d in deviations)

    def error(deviation):
        return deviation * torch.randn(deviation.shape, generator=generator, dtype=torch.float64)

    return Heard(
        exact.range + error(metres),
        exact.direction + error(cosines),
        STATIONS,
        FACING,
        metres,
        cosines,
    )


def test_least_squares_are_those_of_scipy():
    told = noisy(users(20), (torch.tensor([0.5, 2.0, 0.5, 1.0]), torch.tensor([0.01] * 4)))
    placed = multilaterate(told, Trust(robust=False), HEIGHT)
    axis = rotation(FACING)[:, :, 1].numpy()
    for user, (found, true) in enumerate(zip(placed.position, users(20), strict=True)):

        def residual(place, user=user):
            away = np.array([*place, HEIGHT]) - STATIONS.numpy()
            distance = np.linalg.norm(away, axis=1)
            late = (told.range[user].numpy() - distance) / told.range_deviation[user].numpy()
            cosine = (away * axis).sum(1) / distance
            aside = (told.direction[user].numpy() - cosine) / told.direction_deviation[user].numpy()
            return np.concatenate([late, aside])

        right = least_squares(residual, true.numpy(), xtol=1e-12, ftol=1e-12)
        np.testing.assert_allclose(found.numpy(), right.x, atol=1e-4)
        np.testing.assert_allclose(float(placed.cost[user]), 2 * right.cost, rtol=1e-5)


def test_ranges_that_are_known_better_weigh_more():
    place = users()
    told = noisy(place, (torch.tensor([0.1, 5.0, 0.1, 5.0]), torch.tensor([1.0] * 4)))
    alike = Heard(told.range, told.direction, STATIONS, FACING)
    weighed, plain = (multilaterate(h, Trust(robust=False), HEIGHT) for h in (told, alike))
    assert off(weighed, place).median() < 0.5 * off(plain, place).median()


def test_the_covariance_is_that_of_the_errors():
    place = users(1000)
    told = noisy(place, (torch.tensor([0.7] * 4), torch.tensor([0.03] * 4)))
    placed = multilaterate(told, Trust(robust=False), HEIGHT)
    away = placed.position - place
    squared = (away * torch.linalg.solve(placed.covariance, away)).sum(-1)
    assert 0.9 < float(squared.mean() / 2) < 1.1


def test_a_deviation_that_is_none_is_refused():
    told = noisy(users(3), (torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0.03] * 4)))
    with pytest.raises(ValueError, match="deviations must be positive and finite, got 0"):
        multilaterate(told)


def around(count=200, size=200.0):
    """Four stations about a square that they look into, and users within."""
    turn = torch.arange(4).double() * math.pi / 2
    station = torch.stack([size * turn.cos(), size * turn.sin(), torch.full((4,), 10.0)], -1)
    facing = torch.stack([turn + math.pi, 0 * turn, 0 * turn], -1)
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    place = (2 * unit - 1) * size / 1.6
    return place, heard(place, station.double(), facing)


@pytest.mark.parametrize("front", [True, False])
def test_directions_alone_find_users_all_over_a_scene(front):
    place, told = around()
    told.range[:] = torch.nan
    noise = 0.01 * torch.randn(
        told.direction.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    told.direction.add_(noise).clamp_(-1, 1)
    away = off(multilaterate(told, Trust(direction=0.01, front=front)), place)
    assert away.median() < 3
    assert (away > 15).double().mean() <= 0.01


@pytest.mark.parametrize("directed", [True, False])
def test_clocks_that_are_hundreds_of_metres_off_are_solved_for(directed):
    place, told = around()
    generator = torch.Generator().manual_seed(3)
    clock = 300 * torch.randn(len(place), 1, generator=generator, dtype=torch.float64)
    noise = 0.7 * torch.randn(told.range.shape, generator=generator, dtype=torch.float64)
    told.range.add_(clock + noise)
    if not directed:
        told.direction[:] = torch.nan
    placed = multilaterate(told, Trust(direction=0.01, clock_offset=300.0))
    assert off(placed, place).median() < 1
    assert (off(placed, place) > 10).double().mean() <= 0.01
    assert (placed.offset - clock[:, 0]).abs().median() < 1


def test_one_users_missing_range_moves_nobody_else():
    _, told = around()
    told.range[::2, 1] += 25.0
    before = multilaterate(told).position
    told.range[0, 2] = torch.nan
    assert torch.equal(multilaterate(told).position[1:], before[1:])
