"""Our own encoder sees physics, not indices."""

import math

import pytest
import torch

from models.soundings import random_sounding, replaced
from radiofix.models.frame import FrameHead, lower_factor
from radiofix.models.latent import Latent
from radiofix.models.patches import cut, places
from radiofix.models.radiofix import RadiofixEncoder, decades
from radiofix.physics.rotation import rotation
from radiofix.physics.strongest import Wave, steering
from radiofix.types import SPEED_OF_LIGHT


def encoder(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = RadiofixEncoder(
            **{"dim": 32, "layers": 2, "patch_antennas": 4, "patch_subcarriers": 8} | options
        )
    return made.eval()


def resized(antennas, subcarriers):
    sounding = random_sounding(3)
    generator = torch.Generator().manual_seed(3)
    antenna = torch.zeros(3, antennas, 3)
    antenna[..., 1] = 0.5 * torch.arange(antennas)
    frequency = 78125.0 * (torch.arange(subcarriers) - subcarriers // 2).expand(3, -1)
    csi = torch.randn(3, antennas, subcarriers, generator=generator, dtype=torch.complex64)
    return replaced(sounding, csi=csi, antenna=antenna, frequency=frequency)


def test_a_patch_holds_its_own_antennas_and_subcarriers():
    csi = torch.complex(torch.arange(8.0)[:, None] + torch.zeros(8, 16), torch.arange(16.0) + 1)
    patches = cut(csi[None], 4, 8).view(1, 2, 2, 4, 8, 3)
    for row in range(2):
        for column in range(2):
            expected = csi[4 * row : 4 * row + 4, 8 * column : 8 * column + 8]
            assert torch.equal(patches[0, row, column, ..., 0], expected.real)
            assert torch.equal(patches[0, row, column, ..., 1], expected.imag)
    assert (patches[..., 2] == 1).all()


def test_what_fills_up_a_patch_counts_as_not_observed():
    csi = torch.ones(1, 3, 10, dtype=torch.complex64)
    csi[0, 1, 2] = 0
    patches = cut(csi, 4, 8).view(1, 1, 2, 4, 8, 3)
    seen = torch.cat([patches[0, 0, 0], patches[0, 0, 1]], 1)[..., 2]
    expected = torch.zeros(4, 16)
    expected[:3, :10] = 1
    expected[1, 2] = 0
    assert torch.equal(seen, expected)


@pytest.mark.parametrize(("antennas", "subcarriers"), [(8, 52), (64, 512), (3, 5), (32, 128)])
def test_any_array_and_band_goes_through_the_same_weights(antennas, subcarriers):
    latent = encoder()(resized(antennas, subcarriers))
    patches = math.ceil(antennas / 4) * math.ceil(subcarriers / 8)
    assert latent.summary.shape == (3, 32)
    assert latent.tokens.shape == (3, patches, 32)


def test_patches_are_known_by_where_they_lie_and_not_by_their_order():
    sounding = random_sounding()
    turned = torch.cat([torch.arange(4, 8), torch.arange(4)])
    swapped = replaced(sounding, csi=sounding.csi[:, turned], antenna=sounding.antenna[:, turned])
    encode = encoder()
    assert torch.allclose(encode(sounding).summary, encode(swapped).summary, atol=1e-4)
    only_csi = replaced(sounding, csi=sounding.csi[:, turned])
    assert not torch.allclose(encode(sounding).summary, encode(only_csi).summary, atol=1e-2)


def test_a_wider_band_is_seen_as_wider():
    sounding = random_sounding()
    wider = replaced(sounding, frequency=2 * sounding.frequency)
    assert not torch.allclose(places(sounding, 4, 8), places(wider, 4, 8), atol=1e-3)
    assert places(sounding, 4, 8).abs().max() < 10


def test_received_power_reaches_the_summary_through_what_is_told_alone():
    sounding = random_sounding()
    louder = replaced(sounding, csi=10 * sounding.csi)
    encode = encoder()
    assert not torch.allclose(encode(sounding).summary, encode(louder).summary, atol=1e-3)
    torch.nn.init.zeros_(encode.told.weight)
    assert torch.allclose(encode(sounding).summary, encode(louder).summary, atol=1e-5)


def test_power_counts_in_steps_of_10_db():
    feature = decades(torch.tensor([1e-9, 1e-8, 1e-7]))
    assert torch.allclose(feature.diff(), torch.ones(2), atol=1e-5)
    assert decades(torch.zeros(1)).isfinite().all()


def test_a_street_looks_alike_from_near_and_far_and_at_every_phase():
    blank = random_sounding()
    one = torch.ones(6, dtype=torch.complex64)
    direct = Wave(torch.full((6,), 20e-9), torch.linspace(-0.8, 0.8, 6), one)
    echo = Wave(torch.full((6,), 60e-9), torch.linspace(0.9, -0.2, 6), 0.5 * one)
    clean = steering(direct, blank.frequency, blank.antenna)
    clean = clean + 0.5 * steering(echo, blank.frequency, blank.antenna)
    later = Wave(torch.full((6,), 50e-9), torch.zeros(6), one)
    delayed = steering(later, blank.frequency, torch.zeros_like(blank.antenna))
    encode = encoder()
    near = encode(replaced(blank, csi=clean))
    farther = replaced(blank, csi=clean * delayed * torch.exp(torch.tensor(1.3j)))
    far = encode(farther)
    assert torch.allclose(far.wave.delay - near.wave.delay, later.delay, atol=5e-9)
    assert not torch.allclose(near.summary, far.summary, atol=0.05)  # it is told how far
    torch.nn.init.zeros_(encode.told.weight)
    near, far = encode(replaced(blank, csi=clean)), encode(farther)
    assert (near.summary - far.summary).abs().max() < 0.25 * near.summary.std()


def test_every_parameter_learns():
    encode = encoder().train()
    latent = encode(random_sounding())
    (latent.summary.sum() + latent.tokens.square().sum()).backward()
    for name, parameter in encode.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_shipped_sizes_are_what_their_names_say():
    sizes = {
        "nano": RadiofixEncoder(dim=128, layers=5, patch_subcarriers=16),
        "base": RadiofixEncoder(dim=256, layers=6),
    }
    count = {name: sum(p.numel() for p in e.parameters()) for name, e in sizes.items()}
    assert 0.95e6 < count["nano"] < 1.15e6
    assert 4.6e6 < count["base"] < 5.3e6


def test_a_station_turned_and_moved_turns_and_moves_its_fixes():
    head = FrameHead(16).eval()
    generator = torch.Generator().manual_seed(1)
    wave = Wave(1e-6 * torch.rand(6, generator=generator), torch.zeros(6), torch.ones(6) + 0j)
    latent = Latent(torch.randn(6, 16, generator=generator), torch.zeros(6, 1, 16), wave)
    sounding = random_sounding()
    upright = replaced(sounding, station_orientation=torch.zeros(6, 3, dtype=torch.float64))
    turned = upright.station_orientation.clone()
    turned[:, 0] = 0.7
    moved = replaced(
        upright,
        station_orientation=turned,
        station_position=upright.station_position + torch.tensor([5.0, -3.0, 0.0]),
    )
    before, after = head(latent, upright), head(latent, moved)
    turn = rotation(turned)[:, :2, :2]
    from_station = (before.position - upright.station_position)[:, :2]
    expected = (turn @ from_station[..., None])[..., 0] + moved.station_position[:, :2]
    assert torch.allclose(after.position[:, :2], expected)
    covariance = before.scale @ before.scale.mT
    assert torch.allclose(after.scale @ after.scale.mT, turn @ covariance @ turn.mT)


def test_an_untrained_head_puts_the_user_straight_ahead_as_far_as_the_wave_came():
    head = FrameHead(16)
    torch.nn.init.zeros_(head.output.weight)
    torch.nn.init.zeros_(head.output.bias)
    wave = Wave(torch.full((6,), 200 / SPEED_OF_LIGHT), torch.zeros(6), torch.ones(6) + 0j)
    sounding = random_sounding()
    upright = replaced(sounding, station_orientation=torch.zeros(6, 3, dtype=torch.float64))
    estimate = head(Latent(torch.zeros(6, 16), torch.zeros(6, 1, 16), wave), upright)
    expected = upright.station_position[:, :2] + torch.tensor([200.0, 0.0])
    assert torch.allclose(estimate.position[:, :2], expected, atol=1e-3)
    assert torch.allclose(estimate.scale, 10 * torch.eye(2, dtype=torch.float64), atol=1e-6)


def test_covariances_are_positive_whatever_the_network_says():
    factor = lower_factor(torch.tensor([[0.0, 0.0, 0.0], [-1e4, 1e4, 50.0]], dtype=torch.float64))
    assert torch.allclose(factor[0], 10 * torch.eye(2, dtype=torch.float64))
    assert (factor.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert factor.isfinite().all()
