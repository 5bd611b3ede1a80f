"""Mirror images are channels of mirrored scenes, to the bit of physics."""

from dataclasses import replace

import torch

import radiofix as rf
from objectives.views import generator
from radiofix.objectives.mirroring import ASIDE, mirrored
from radiofix.physics.rotation import rotation
from radiofix.physics.worlds import Worlds


def world(links=8):
    """Links of stations that look in all directions."""
    paths = Worlds().draw(links, generator(4))
    yaw = torch.linspace(-3, 3, links, dtype=torch.float64)
    turned = torch.stack([yaw, 0.2 * yaw, -0.1 * yaw], -1)
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = paths.user_position.unbind(-1)
    position = torch.stack([cos * x - sin * y, sin * x + cos * y, z], -1)
    azimuth = paths.station_azimuth + yaw[:, None].float()
    return replace(
        paths, user_position=position, station_azimuth=azimuth, station_orientation=turned
    )


def image(paths):
    """The scene mirrored across its xz plane and moved aside, worked out on the paths."""
    across = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    aside = torch.tensor([0.0, ASIDE, 0.0], dtype=torch.float64)
    turn = torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64)
    return replace(
        paths,
        user_position=paths.user_position * across + aside,
        station_position=paths.station_position.double() * across + aside,
        station_orientation=paths.station_orientation * turn,
        station_azimuth=-paths.station_azimuth,
    )


def sound(paths):
    return rf.Channel(20e6, 32, rf.ula(16)).sound(paths)


def test_a_mirrored_link_is_the_channel_of_the_mirrored_scene():
    paths = world()
    everyone = torch.ones(len(paths), dtype=torch.bool)
    found, place = mirrored(sound(paths), paths.user_position, everyone)
    expected = image(paths)
    assert torch.allclose(place, expected.user_position, atol=1e-9)
    scale = found.csi.abs().amax()
    assert torch.allclose(found.csi / scale, sound(expected).csi / scale, atol=1e-4)
    assert torch.allclose(found.antenna, sound(expected).antenna, atol=1e-6)


def test_links_that_are_not_chosen_stay_and_twice_is_never():
    paths = world()
    sounding = sound(paths)
    chosen = torch.arange(len(paths)) % 2 == 0
    once, place = mirrored(sounding, paths.user_position, chosen)
    assert torch.equal(once.csi[~chosen], sounding.csi[~chosen])
    assert torch.equal(place[~chosen], paths.user_position[~chosen])
    assert not torch.allclose(once.csi[chosen], sounding.csi[chosen])
    twice, _ = mirrored(once, place, chosen)
    assert torch.equal(twice.csi, sounding.csi)


def test_the_image_is_as_far_and_on_the_other_side_of_another_station():
    paths = world()
    sounding = sound(paths)
    everyone = torch.ones(len(paths), dtype=torch.bool)
    found, place = mirrored(sounding, paths.user_position, everyone)
    ahead, left, _ = local(found, place).unbind(-1)
    was_ahead, was_left, _ = local(sounding, paths.user_position).unbind(-1)
    assert torch.allclose(ahead, was_ahead, atol=1e-6)
    assert torch.allclose(left, -was_left, atol=1e-6)
    away = (found.station_position - sounding.station_position).norm(dim=-1)
    assert bool((away > 1000).all())


def local(sounding, place):
    """Where the users stand in their stations' frames."""
    turn = rotation(sounding.station_orientation.double())
    return (turn.mT @ (place - sounding.station_position.double())[..., None])[..., 0]
