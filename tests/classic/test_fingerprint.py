"""Fingerprints find known places, between them interpolate, and forget phase and power."""

import numpy as np
import pytest
import torch

from classic.scenes import links_of
from radiofix.classic.fingerprint import FEATURES, covariance, delay_angle_magnitude, fit
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


def test_silence_and_few_labels_give_finite_places():
    sounding, position = users(3, 0)
    model = fit(sounding, position, *users(5, 1))
    assert model.neighbours <= 3
    assert model.locate(sounding.with_csi(0 * sounding.csi)).isfinite().all()
    assert (delay_angle_magnitude(sounding.with_csi(0 * sounding.csi)) == 0).all()
    with pytest.raises(ValueError, match="fit needs labelled users, got 0 and 3"):
        fit(sounding[:0], position[:0], sounding, position)
