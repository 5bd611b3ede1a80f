"""Ways of waves are folded where they meet walls, as mirrors do, and fan out at edges."""

import math

import numpy as np
import pytest
import torch

from models.sites import street, turned
from radiofix.models.echoes import (
    BEARINGS,
    CELL,
    DARK,
    FAN,
    HEIGHTS,
    Echoes,
    echoes,
    headings,
    nearest_bearing,
    nearest_height,
    square,
)
from radiofix.models.folds import before, unfolded

HEIGHT = 1.5
POSE = torch.tensor([0.0, 9.0, 6.0, -math.pi / 2, 0.0, 0.0], dtype=torch.float64)
"""On the north side of the street, looking south across it."""
SOUTH = -10.0
"""Where the southern houses' fronts are."""


def seen(boxes=None, pose=POSE):
    site_map = street() if boxes is None else street(boxes, pose[None, :3].numpy())
    return echoes(site_map, pose, HEIGHT)


def in_station(places, pose=POSE):
    """Places of the scene in the station's frame, level."""
    away = torch.tensor(places, dtype=torch.float64) - pose[:2]
    cos, sin = pose[3].cos(), pose[3].sin()
    turn = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
    return (away @ turn).float()


def folded(found, seeming):
    """Where the way toward a place of the station's frame has come from, and how often folded."""
    length = seeming.norm(dim=-1)
    bearing = torch.atan2(seeming[:, 1], seeming[:, 0])
    own = found.ways[nearest_height(length), nearest_bearing(bearing)]
    return own.fold(unfolded(length, bearing), length), own.legs(length), before(own.until, length)


def test_a_reflected_wave_has_come_from_the_mirror_image_of_where_it_seems_to_come_from():
    users = np.array([[10.0, 3.0], [15.0, -4.0], [-20.0, 0.0], [-35.0, 5.0]])
    images = np.stack([users[:, 0], 2 * SOUTH - users[:, 1]], 1)
    place, bounces, alive = folded(seen(), in_station(images))
    torch.testing.assert_close(place, in_station(users), atol=1e-3, rtol=1e-4)
    assert (bounces == 1).all()
    assert alive.all()


def test_a_wave_that_went_between_both_sides_of_the_street_is_folded_twice():
    # The northern front is at y = 10: seen in the southern one first, then in the northern.
    users = np.array([[20.0, 2.0], [25.0, -6.0]])
    north = np.stack([users[:, 0], 2 * 10.0 - users[:, 1]], 1)
    images = np.stack([north[:, 0], 2 * SOUTH - north[:, 1]], 1)
    place, bounces, _ = folded(seen(), in_station(images))
    torch.testing.assert_close(place, in_station(users), atol=1e-3, rtol=1e-4)
    assert (bounces == 2).all()


def test_a_way_that_meets_no_wall_stays_straight():
    users = in_station([[5.0, 0.0], [-30.0, -8.0], [26.0, -13.0]])
    place, bounces, alive = folded(seen(), users)
    torch.testing.assert_close(place, users)
    assert (bounces == 0).all()
    assert alive.all()


def test_what_is_behind_the_last_wall_is_not_known():
    found = seen()
    toward = 2 * math.pi * ((float(nearest_bearing(torch.tensor(0.6))) + 0.5) / BEARINGS - 0.5)
    own = found.ways[1, nearest_bearing(torch.tensor(toward))]
    assert before(own.until, own.until - 1)
    assert not before(own.until, own.until + 1)
    # From the station 19 m across the street, and three times its 20 m.
    assert float(own.until) == pytest.approx((19 + 3 * 20) / math.cos(toward), rel=1e-3)


def test_a_low_roof_is_passed_by_a_way_that_is_still_high_over_it():
    low = [(-20.0, -14.0, 20.0, -10.0, 3.0)]
    straight = in_station([[0.0, -91.0]])
    place, bounces, _ = folded(seen(low), straight)
    # 100 m far down, it is 5.1 m high over the front of a house of 3 m.
    torch.testing.assert_close(place, straight)
    assert int(bounces) == 0
    assert int(folded(seen([(-20.0, -14.0, 20.0, -10.0, 5.5)]), straight)[1]) == 1


def nearest_of_fan(found, index, users):
    """How near the fan of an edge comes to users when the way has their length."""
    edge = found.edge[index]
    length = (users - edge).norm(dim=-1)[:, None].expand(-1, FAN)
    fan = found.fan[index]
    own = fan[torch.arange(FAN).expand(len(users), FAN)]
    place = own.fold(edge + length[..., None] * headings(), length)
    off = (place - users[:, None]).norm(dim=-1)
    return torch.where(before(own.until, length), off, torch.inf).amin(1), length[:, 0]


def index_of(found, places, pose=POSE):
    off = (found.edge[:, None] - in_station(places, pose)).norm(dim=-1)
    off = torch.where(found.image.isfinite().all(-1)[:, None], off, torch.inf)
    assert (off.amin(0) < 0.01).all(), off.amin(0)
    return off.argmin(0)


def test_ways_fan_out_at_the_corner_of_a_side_street():
    found = seen()
    # The southern houses leave a side street from x = 20 to 30.
    (corner,) = index_of(found, [[20.0, SOUTH]])
    users = in_station([[22.0, -20.0], [21.0, -28.0], [25.0, -15.0]])
    near, length = nearest_of_fan(found, corner, users)
    assert (near <= math.pi / FAN * length + 0.3).all()


def test_the_fan_reaches_round_a_corner_and_off_the_wall_behind_it():
    found = seen()
    (corner,) = index_of(found, [[20.0, SOUTH]])
    # Off the other side of the side street, at x = 30: the user's image there is at 60 - x.
    user, image = in_station([[24.0, -24.0]]), in_station([[36.0, -24.0]])
    edge = found.edge[corner]
    length = (image - edge).norm(dim=-1)[:, None].expand(-1, FAN)
    own = found.fan[corner][None, :]
    place = own.fold(edge + length[..., None] * headings(), length)
    twice = (own.legs(length) == 1) & before(own.until, length)
    assert twice.any()
    off = (place - user[:, None]).norm(dim=-1)[twice].min()
    assert off <= math.pi / FAN * length[0, 0] + 0.3


def test_an_edge_is_seen_in_a_mirror_where_its_image_is():
    # Seen from the street's north side in the southern front: the corner of the northern gap.
    found = seen()
    images = in_station([[5.0, 2 * SOUTH - 10.0]])
    away = (found.image[:, None] - images).norm(dim=-1)
    index = int(away[:, 0].nan_to_num(torch.inf).argmin())
    assert float(away[index, 0]) < 0.01
    torch.testing.assert_close(found.edge[index], in_station([[5.0, 10.0]])[0], atol=1e-3, rtol=0)


def test_houses_wall_to_wall_have_no_edge_between_them_and_an_inner_corner_is_none():
    flush = [(-60.0, -30.0, 0.0, -10.0, 16.0), (0.0, -30.0, 60.0, -10.0, 12.0)]
    found = seen(flush)
    joint = in_station([[0.0, SOUTH]])
    assert (found.edge[found.image.isfinite().all(-1)] - joint).norm(dim=-1).min() > 1.0
    inner = [(-60.0, -30.0, 0.0, -20.0, 16.0), (0.0, -30.0, 60.0, -10.0, 16.0)]
    found = seen(inner)
    edges = found.edge[found.image.isfinite().all(-1)]
    assert (edges - in_station([[0.0, -20.0]])).norm(dim=-1).min() > 1.0
    assert (edges - in_station([[0.0, -10.0]])).norm(dim=-1).min() < 0.01


def test_a_corner_with_both_faces_in_sight_is_an_edge():
    found = seen([(10.0, -30.0, 40.0, -20.0, 16.0)])
    index_of(found, [[10.0, -20.0]])


def test_moving_and_turning_the_scene_with_its_station_changes_nothing():
    found = seen()
    angle, by = 0.7, (120.0, -40.0, 3.0)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    pose = torch.cat([turn @ POSE[:3] + torch.tensor(by).double(), POSE[3:]])
    pose[3] += angle
    again = echoes(turned(street(), angle, by), pose, HEIGHT + by[2])
    assert len(found.ways.since[0]) == BEARINGS
    assert len(found.ways.since) == len(HEIGHTS)
    own, other = found.ways.since.clamp(max=1e4), again.ways.since.clamp(max=1e4)
    # A way that touches an end may fall on the other side of it.
    assert ((own - other).abs() < 0.01).float().mean() > 0.998
    assert int(found.image.isfinite().sum()) == int(again.image.isfinite().sum())


def test_a_wave_from_behind_the_station_is_folded_as_one_from_its_front():
    # The station looks south; this house stands north of it.
    found = seen([(-30.0, 20.0, 30.0, 30.0, 10.0)])
    front = nearest_bearing(torch.linspace(-1.5, 1.5, 50))
    assert found.ways.until[:, front].isinf().all()
    assert (found.ways.since[:, front, 1:] > 1e3).all()
    users = np.array([[10.0, 5.0], [-12.0, 14.0]])
    images = np.stack([users[:, 0], 2 * 20.0 - users[:, 1]], 1)
    place, bounces, _ = folded(found, in_station(images))
    torch.testing.assert_close(place, in_station(users), atol=1e-3, rtol=1e-4)
    assert (bounces == 1).all()


def test_bearings_go_round():
    bearing = torch.tensor([-math.pi + 1e-4, math.pi - 1e-4, math.pi + 1e-3, 0.0])
    assert nearest_bearing(bearing).tolist() == [0, BEARINGS - 1, 0, BEARINGS // 2]


def test_it_is_known_by_how_many_bounces_waves_reach_a_place():
    found = seen()
    lit = found.lit.flatten()
    places = in_station(
        [
            [0.0, 0.0],  # in the street
            [22.0, -28.0],  # in the side street, round the corner: behind two walls at most
            [-30.0, -20.0],  # in a house
            [-1.0, 22.0],  # in the gap behind the station, between the northern houses
        ]
    )
    bounces = lit[square(places)]
    assert int(bounces[0]) == 0
    assert 1 <= int(bounces[1]) < DARK
    assert int(bounces[2]) == DARK
    assert int(bounces[3]) == 0
    assert int(square(torch.tensor([1e4, 0.0]))) == -1
    # A place is lit straight just where the walls leave it in sight.
    generator = torch.Generator().manual_seed(0)
    points = 60 * torch.rand(400, 2, generator=generator) * torch.tensor([1.0, 0.6])
    points = points - torch.tensor([20.0, 25.0])
    sight = (folded(found, in_station(points.tolist()))[1] == 0).numpy()
    told = (lit[square(in_station(points.tolist()))] == 0).numpy()
    assert (sight == told).mean() > 0.9
    assert CELL <= 4.0


def test_ways_come_to_an_edge_as_they_go_to_its_image_mirrored():
    found = seen()
    there = found.image.isfinite().all(-1)
    image, edge, arriving = found.image[there], found.edge[there], found.arriving[there]
    direct = (image - edge).norm(dim=-1) < 1e-3
    unit = image / image.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(arriving[direct], unit[direct], atol=1e-5, rtol=0)
    assert (~direct).any()
    # Seen in the wall that runs across its look, ways come back: x is turned about.
    across = in_station([[5.0, 10.0]])[0]
    (back,) = torch.where((edge - across).norm(dim=-1) < 1e-3)[0].tolist()[-1:]
    if not bool(direct[back]):
        torch.testing.assert_close(arriving[back, 0], -unit[back, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(arriving.norm(dim=-1), torch.ones(len(edge)))


def test_several_stations_stand_in_rows():
    one, two = seen(), seen([(-30.0, 20.0, 30.0, 30.0, 10.0)])
    both = Echoes.stack([one, two])
    torch.testing.assert_close(both.ways[1].since, two.ways.since)
    torch.testing.assert_close(both.image[0], one.image)
    assert both.lit.shape == (2, *one.lit.shape)


def test_without_low_roofs_all_heights_are_one():
    found = seen()
    torch.testing.assert_close(found.ways.since[0], found.ways.since[3])
    low = seen([(-20.0, -14.0, 20.0, -10.0, 4.4)])
    assert not torch.equal(low.ways.since[0], low.ways.since[3])
