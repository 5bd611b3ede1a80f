"""Stated ellipses hold what they say, and strangers are told from users of the same kind."""

import numpy as np
import pytest
import torch

from radiofix.models.calibration import Calibration, coverage, quantile_of_two, squared_length


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def factors(links, seed=1):
    raw = normal(links, 2, 2, seed=seed)
    covariance = raw @ raw.mT + 0.1 * torch.eye(2, dtype=torch.float64)
    return torch.linalg.cholesky(covariance)


def test_a_squared_length_is_that_of_numpy():
    error, scale = normal(20, 2), factors(20)
    inverse = np.linalg.inv((scale @ scale.mT).numpy())
    expected = np.einsum("ni,nij,nj->n", error.numpy(), inverse, error.numpy())
    assert np.allclose(squared_length(error, scale).numpy(), expected)


def test_the_quantile_is_that_of_chi_squared_with_two_degrees_of_freedom():
    from scipy.stats import chi2

    for share in (0.39, 0.5, 0.9, 0.99):
        assert quantile_of_two(share) == pytest.approx(chi2(2).ppf(share))


@pytest.mark.parametrize("boast", [0.2, 1.0, 5.0])
def test_after_calibration_the_ellipse_of_90_percent_holds_90_percent_of_others(boast):
    scale = factors(6000)
    error = (scale @ normal(6000, 2, 1, seed=2))[..., 0]
    stated = boast * scale
    calibration = Calibration(4)
    calibration.fit_ellipses(error[:3000], stated[:3000])
    assert float(calibration.stretch) == pytest.approx(1 / boast, rel=0.05)
    held = coverage(error[3000:], calibration.stretched(stated[3000:]))
    assert 0.88 < held < 0.92


def test_where_every_error_is_0_covariances_can_still_be_inverted():
    calibration = Calibration(4)
    calibration.fit_ellipses(torch.zeros(20, 2, dtype=torch.float64), factors(20))
    assert torch.linalg.cholesky(calibration.covariance(factors(3))).isfinite().all()


def test_a_perfect_gaussian_is_covered_as_stated_at_every_share():
    scale = factors(20000)
    error = (scale @ normal(20000, 2, 1, seed=3))[..., 0]
    for share in (0.5, 0.8, 0.95):
        assert coverage(error, scale, share) == pytest.approx(share, abs=0.01)


def test_features_like_the_training_ones_are_trusted_and_others_are_not():
    mixing = normal(8, 8, seed=4)
    training, validation, test = (normal(500, 8, seed=s) @ mixing for s in (5, 6, 7))
    calibration = Calibration(8)
    assert calibration.trusted(100 * test).all()  # not fitted yet: nothing is known to be strange
    calibration.fit_features(training, validation)
    assert 0.97 < calibration.trusted(test).double().mean() <= 1
    assert not calibration.trusted(test + 40 * mixing[0]).any()


def test_with_fewer_links_than_features_strangeness_is_still_finite():
    calibration = Calibration(64)
    calibration.fit_features(normal(20, 64), normal(20, 64, seed=8))
    assert calibration.strangeness(normal(5, 64, seed=9)).isfinite().all()
    assert float(calibration.threshold) > 0
