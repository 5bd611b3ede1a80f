"""Fingerprints find known places, between them interpolate, and forget phase and power."""

import dataclasses

import numpy as np
import pytest
import torch

from classic.scenes import links_of
from radiofix.classic.fingerprint import (
    FEATURES,
    Remembered,
    covariance,
    delay_angle_magnitude,
    delay_angle_root,
    fit,
    join,
    nearest_mean,
    of_middle,
)
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.types import SPEED_OF_LIGHT

CHANNEL = Channel(50e6, 32, ula(8), snr_db=20.0)


def users(count, seed):
    """Users in a yard before the station, seen directly and by one wall 30 m to the side."""
    place = 15 + 20 * torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)).double()
    position = torch.cat([place, torch.zeros(count, 1).double()], -1)
    image = torch.stack([place[:, 0], 80 - place[:, 1]], -1)
    both = torch.stack([place, image], 1)
    distance = both.norm(dim=-1)
    gain = torch.polar(1 / distance, -2 * torch.pi * distance / 0.0857)
    paths = links_of(distance / SPEED_OF_LIGHT, both[..., 1] / distance, gain)
    return CHANNEL.sound(paths, torch.Generator().manual_seed(seed)), position


def test_a_dense_map_of_fingerprints_places_new_users_within_its_spacing():
    model = fit(*users(1500, 0), *users(200, 1))
    sounding, position = users(200, 2)
    error = (model.locate(sounding) - position).norm(dim=-1)
    # 1500 users on 400 m2 are half a metre apart; a guess at the middle is 7.6 m off.
    assert float(error.mean()) < 1.0
    assert float(error.mean()) == pytest.approx(model.validation_error, rel=0.3)


def test_a_known_channel_is_put_where_its_label_says():
    labelled = users(100, 0)
    model = fit(*labelled, *users(50, 1))
    assert torch.allclose(model.locate(labelled[0]), labelled[1], atol=1e-4)


def test_feature_and_neighbours_are_the_best_on_validation_users():
    labelled, validation = users(300, 0), users(60, 1)
    best = fit(*labelled, *validation)
    singles = [
        fit(*labelled, *validation, features=[feature], neighbours=[count]).validation_error
        for feature in FEATURES
        for count in (1, 2, 3, 5, 8, 12)
    ]
    assert best.validation_error == pytest.approx(min(singles), rel=1e-3)
    assert max(singles) > 1.05 * min(singles)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_fingerprint_forgets_the_common_phase_and_the_power(feature):
    sounding, _ = users(10, 0)
    turned = sounding.with_csi((3 * torch.exp(torch.tensor(1j))).to(torch.complex64) * sounding.csi)
    assert torch.allclose(feature(turned), feature(sounding), atol=1e-5)
    assert not torch.allclose(feature(sounding[:1]), feature(sounding[1:2]), atol=1e-2)


def test_the_covariance_feature_is_the_mean_of_products():
    sounding, _ = users(2, 0)
    csi = sounding.csi.numpy().astype(complex)
    for link in range(2):
        spatial = (csi[link] @ csi[link].conj().T)[np.triu_indices(8)]
        spectral = np.array(
            [(csi[link][:, lag:] * csi[link][:, : 32 - lag].conj()).sum() for lag in range(32)]
        )
        parts = [np.stack([p.real, p.imag], -1).ravel() for p in (spatial, spectral)]
        expected = np.concatenate([p / np.linalg.norm(p) for p in parts])
        assert np.allclose(covariance(sounding)[link].numpy(), expected, atol=1e-5)


def test_a_feature_of_the_middle_of_the_band_is_that_of_a_narrower_channel():
    sounding, _ = users(4, 0)
    narrow = dataclasses.replace(
        sounding, csi=sounding.csi[..., 8:24], frequency=sounding.frequency[:, 8:24]
    )
    found = of_middle(sounding, delay_angle_root, share=0.5)
    assert torch.equal(found, delay_angle_root(narrow))
    assert of_middle(sounding, delay_angle_root, share=1e-9).shape == (4, 8)


def heard_by_two(count, seed):
    """Users of the yard, seen by two stations: the second one as if the yard were turned over."""
    first, position = users(count, seed)
    second = first.with_csi(first.csi.flip(1) * 2)
    second = dataclasses.replace(second, station=torch.ones_like(first.station))
    return first, second, position


def remembered(*parts):
    return {
        station: Remembered.of(fit(sounding, where, *users(50, 5)), sounding, where)
        for station, (sounding, where) in enumerate(parts)
    }


def test_two_stations_are_asked_at_once_by_the_mean_of_their_squared_distances():
    first, second, position = heard_by_two(300, 0)
    known = remembered((first, position), (second, position))
    asked_first, asked_second, truth = heard_by_two(40, 2)
    both = type(first).join([asked_first, asked_second])
    joint = join(known, both, torch.cat([truth, truth]), neighbours=[3])
    one, other = (
        np.linalg.norm(
            known[s].fingerprint.components(asked)[:, None] - known[s].components[None], axis=-1
        )
        for s, asked in enumerate((asked_first, asked_second))
    )
    distance = np.sqrt((one**2 + other**2) / 2)
    np.testing.assert_allclose(joint.distances(both, both.user.numpy()), distance, rtol=1e-6)
    for user in range(40):
        near = np.argsort(distance[user])[:3]
        weight = 1 / distance[user, near]
        expected = (weight[:, None] * position.numpy()[near]).sum(0) / weight.sum()
        # Both links of a user get the same place.
        for link in (user, 40 + user):
            np.testing.assert_allclose(joint.locate(both)[link], expected, rtol=1e-6)
    away = np.linalg.norm(joint.locate(asked_first).numpy() - truth.numpy(), axis=1).mean()
    assert away == pytest.approx(joint.validation_error, rel=0.3)


def test_users_heard_by_different_stations_are_compared_by_those_they_share():
    first, second, position = heard_by_two(60, 0)
    some = remembered((first[:40], position[:40]), (second[20:], position[20:]))
    both = type(first).join([first, second])
    joint = join(some, both, torch.cat([position, position]), neighbours=[1])
    assert list(joint.users) == list(range(60))
    assert torch.allclose(joint.locate(both), torch.cat([position, position]), atol=1e-4)
    stranger = dataclasses.replace(first[:2], station=torch.full((2,), 7))
    assert joint.locate(stranger).isnan().all()


def test_a_user_that_is_known_already_is_where_its_label_says():
    distance = np.array([[0.0, 1.0, 2.0], [2.0, np.inf, 1.0], [np.inf, np.inf, np.inf]])
    position = np.array([[0.0, 0, 0], [3.0, 0, 0], [6.0, 0, 0]])
    found = nearest_mean(distance, position, 2)
    np.testing.assert_allclose(found[:2], [[0.0, 0, 0], [4.0, 0, 0]])
    assert np.isnan(found[2]).all()


def test_silence_and_few_labels_give_finite_places():
    sounding, position = users(3, 0)
    model = fit(sounding, position, *users(5, 1))
    assert model.neighbours <= 3
    assert model.locate(sounding.with_csi(0 * sounding.csi)).isfinite().all()
    assert (delay_angle_magnitude(sounding.with_csi(0 * sounding.csi)) == 0).all()
    with pytest.raises(ValueError, match="fit needs labelled users, got 0 and 3"):
        fit(sounding[:0], position[:0], sounding, position)
