"""Mirror images are channels of mirrored scenes, to the bit of physics."""

import math
from dataclasses import replace

import torch

import radiofix as rf
from objectives.views import generator
from radiofix.objectives.mirroring import mirrored
from radiofix.physics.worlds import Worlds


def world(links=8):
    """Links of stations that look in all directions."""
    paths = Worlds().draw(links, generator(4))
    yaw = torch.linspace(-3, 3, links, dtype=torch.float64)
    turned = torch.stack([yaw, torch.zeros_like(yaw), torch.zeros_like(yaw)], -1)
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = paths.user_position.unbind(-1)
    position = torch.stack([cos * x - sin * y, sin * x + cos * y, z], -1)
    azimuth = paths.station_azimuth + yaw[:, None].float()
    return replace(
        paths, user_position=position, station_azimuth=azimuth, station_orientation=turned
    )


def image(paths):
    """The scene mirrored across each station's xz plane, worked out on the paths."""
    yaw = paths.station_orientation[:, :1]
    azimuth = 2 * yaw.float() - paths.station_azimuth
    x, y, z = paths.user_position.unbind(-1)
    turn = 2 * yaw[:, 0]
    position = torch.stack(
        [turn.cos() * x + turn.sin() * y, turn.sin() * x - turn.cos() * y, z], -1
    )
    return replace(paths, user_position=position, station_azimuth=azimuth)


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
    twice, back = mirrored(once, place, chosen)
    assert torch.equal(twice.csi, sounding.csi)
    assert torch.allclose(back, paths.user_position, atol=1e-9)


def test_the_image_is_as_far_and_on_the_other_side():
    paths = world()
    everyone = torch.ones(len(paths), dtype=torch.bool)
    _, place = mirrored(sound(paths), paths.user_position, everyone)
    assert torch.allclose(place.norm(dim=-1), paths.user_position.norm(dim=-1))
    yaw = paths.station_orientation[:, 0]
    side = [torch.atan2(p[:, 1], p[:, 0]) - yaw for p in (place, paths.user_position)]
    assert torch.allclose(
        torch.remainder(side[0] + side[1] + math.pi, 2 * math.pi), torch.tensor(math.pi).double()
    )
