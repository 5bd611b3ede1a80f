"""The published encoder: its size, its input, its order of tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.soundings import ANTENNAS, SUBCARRIERS, gradient, random_sounding, replaced
from radiofix.models.lwlm import LwlmEncoder, magnitude_and_phase, sinusoids


def small(layers: int = 2) -> LwlmEncoder:
    torch.manual_seed(0)
    return LwlmEncoder(ANTENNAS, SUBCARRIERS, 16, layers, heads=2, feedforward=32, dropout=0.0)


def test_the_published_sizes_give_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        encoder = LwlmEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == 5_269_504
    assert encoder.positions.shape == (257, 256)


def test_sequence_embedding_is_that_of_equations_17_and_18() -> None:
    table = sinusoids(9, 6).numpy()
    for row in range(9):
        for i in range(3):
            angle = row / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(
                table[row, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-6
            )


def test_input_is_magnitude_and_phase_and_nothing_where_nothing_was_observed() -> None:
    csi = random_sounding(2).csi
    csi[0, 1, 2] = complex(-0.0, 0.0)
    image = magnitude_and_phase(csi).numpy()
    np.testing.assert_allclose(image[:, 0], np.abs(csi.numpy()), rtol=1e-6)
    seen = csi.numpy() != 0
    np.testing.assert_allclose(image[:, 1][seen], np.angle(csi.numpy())[seen], atol=1e-6)
    assert image[0, :, 1, 2].tolist() == [0, 0]


def test_received_power_does_not_matter_but_the_shape_of_the_channel_does() -> None:
    sounding, encoder = random_sounding(), small()
    first = encoder(sounding)
    louder = encoder(sounding.with_csi(1e3 * sounding.csi))
    other = encoder(sounding.with_csi(sounding.csi.conj().resolve_conj()))
    torch.testing.assert_close(louder.summary, first.summary, atol=1e-4, rtol=1e-4)
    assert (other.summary - first.summary).abs().max() > 0.01


def test_tokens_have_antennas_outside_and_subcarriers_inside() -> None:
    sounding, encoder = random_sounding(1), small(layers=0)
    changed = sounding.csi.clone()
    changed[:, 4:8, 8:12] *= 1j
    before, after = encoder(sounding).tokens, encoder(sounding.with_csi(changed)).tokens
    different = (after - before).abs().amax(-1)[0] > 1e-4
    assert different.tolist() == [False] * 6 + [True, False]


def test_each_link_is_encoded_by_itself() -> None:
    sounding, encoder = random_sounding(), small()
    torch.testing.assert_close(encoder(sounding).tokens[2:4], encoder(sounding[2:4]).tokens)


def test_gradient_reaches_every_parameter() -> None:
    encoder = small()
    latent = encoder(random_sounding())
    (latent.summary[:, ::2].sum() + latent.tokens[:, :, 1::3].sum()).backward()
    missed = {name for name, size in gradient(encoder).items() if size <= 0}
    assert not missed


def test_attention_goes_through_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    fused = F.scaled_dot_product_attention

    def counted(*inputs: torch.Tensor, **options: object) -> torch.Tensor:
        calls.append(1)
        return fused(*inputs, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    small().train()(random_sounding())
    assert len(calls) == 2


def test_a_channel_of_another_shape_is_refused_in_one_line() -> None:
    sounding = random_sounding()
    with pytest.raises(ValueError, match="csi of 4 antennas and 16 subcarriers") as error:
        small()(replaced(sounding, csi=sounding.csi[:, :4], antenna=sounding.antenna[:, :4]))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="subcarriers=18 does not divide"):
        LwlmEncoder(8, 18)
    with pytest.raises(ValueError, match="dim=6 is not divisible by heads=4"):
        LwlmEncoder(8, 16, dim=6)
