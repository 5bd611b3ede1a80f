"""The published encoder: its size, its input, its order of tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.soundings import ANTENNAS, SUBCARRIERS, gradient, random_sounding, replaced
from radiofix.models.decoders import ReconstructionDecoder
from radiofix.models.latent import unit_power
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


def test_weights_are_those_of_torchs_own_layers() -> None:
    encoder = small()
    torchs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True), 2, nn.LayerNorm(16)
    )
    weights = encoder.state_dict()
    known = {name: weights[name] for name in torchs.state_dict()}
    assert weights.keys() - known.keys() == {"patches.weight", "patches.bias", "lst"}
    torchs.load_state_dict(known)
    sounding = random_sounding(20)
    image = magnitude_and_phase(unit_power(sounding.csi))
    patches = encoder.patches(image).flatten(2).transpose(1, 2)
    tokens = torch.cat([encoder.lst.expand(20, 1, -1), patches], 1) + encoder.positions
    torch.testing.assert_close(
        encoder(sounding).tokens, torchs(tokens)[:, 1:], atol=1e-5, rtol=1e-5
    )


def test_half_the_bits_learn_as_float32_does() -> None:
    losses, slopes = zip(*(lesson(half) for half in (False, True)), strict=True)
    assert losses[0][-1] < 0.9 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.01)
    assert float(F.cosine_similarity(slopes[0], slopes[1], 0)) > 0.995
    assert float(slopes[1].norm() / slopes[0].norm()) == pytest.approx(1, abs=0.03)


def lesson(half: bool) -> tuple[list[float], torch.Tensor]:
    """Losses of some steps that reconstruct a channel, and the gradient of the first."""
    torch.manual_seed(0)
    encoder = LwlmEncoder(ANTENNAS, SUBCARRIERS, 64, 2, heads=4, feedforward=256, dropout=0.0)
    decoder = ReconstructionDecoder(64, 2, 4, 256, ANTENNAS, SUBCARRIERS, dropout=0.0)
    model = nn.ModuleList([encoder, decoder])
    adam = torch.optim.Adam(model.parameters(), lr=3e-4)
    sounding = random_sounding(16)
    losses, slope = [], torch.empty(0)
    for step in range(8):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            seen = decoder(encoder(sounding))
        loss = (seen - unit_power(sounding.csi)).abs().square().mean()
        adam.zero_grad()
        loss.backward()
        if step == 0:
            slope = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        adam.step()
        losses.append(loss.item())
    return losses, slope


def test_a_channel_of_another_shape_is_refused_in_one_line() -> None:
    sounding = random_sounding()
    with pytest.raises(ValueError, match="csi of 4 antennas and 16 subcarriers") as error:
        small()(replaced(sounding, csi=sounding.csi[:, :4], antenna=sounding.antenna[:, :4]))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="subcarriers=18 does not divide"):
        LwlmEncoder(8, 18)
    with pytest.raises(ValueError, match="dim=6 is not divisible by heads=4"):
        LwlmEncoder(8, 16, dim=6)
