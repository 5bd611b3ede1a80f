"""Decoders put patches back where they came from, and use all that they are given."""

from __future__ import annotations

import pytest
import torch

from models.soundings import gradient, normal, random_latent, random_sounding, replaced
from radiofix.models.configuration import configuration
from radiofix.models.decoders import ContrastDecoder, ReconstructionDecoder
from radiofix.models.latent import Latent


def unfolded(csi: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Patches of a channel as tokens, pixel by pixel."""
    links, antennas, subcarriers = csi.shape
    tokens = [
        torch.view_as_real(csi[:, a : a + rows, k : k + columns].contiguous()).reshape(links, -1)
        for a in range(0, antennas, rows)
        for k in range(0, subcarriers, columns)
    ]
    return torch.stack(tokens, 1)


@pytest.mark.parametrize("patch", [(4, 4), (2, 8), (8, 1)])
def test_patches_are_folded_back_to_the_channel(patch: tuple[int, int]) -> None:
    csi = normal(3, 8, 16)
    tokens = unfolded(csi, *patch)
    dim = tokens.shape[-1]
    decoder = ReconstructionDecoder(dim, 0, 1, 1, 8, 16, patch)
    decoder.output.weight.data.copy_(torch.eye(dim))
    decoder.output.bias.data.zero_()
    assert torch.equal(decoder(Latent(torch.ones(3, dim), tokens)), csi)


def test_reconstruction_uses_summary_and_tokens_and_every_parameter() -> None:
    torch.manual_seed(0)
    decoder = ReconstructionDecoder(16, 2, 4, 32, 8, 16, (4, 4), dropout=0.0)
    part = random_latent()
    decoder(part).abs().square().sum().backward()
    assert all(size > 0 for size in gradient(decoder).values())
    assert part.summary.grad is not None
    assert part.tokens.grad is not None
    assert part.summary.grad.abs().min() > 0
    assert part.tokens.grad.abs().amax(-1).min() > 0


def test_reconstruction_of_another_number_of_patches_is_refused() -> None:
    decoder = ReconstructionDecoder(16, 1, 4, 32, 8, 16, (2, 4))
    with pytest.raises(ValueError, match="8 tokens, but this decoder folds 4 x 4 patches of 2 x 4"):
        decoder(random_latent())


def test_configuration_is_the_stations_place_and_the_bandwidth() -> None:
    sounding = random_sounding()
    got = configuration(sounding)
    torch.testing.assert_close(got[:, :2], sounding.station_position[:, :2])
    torch.testing.assert_close(got[:, 2], torch.tensor([10e6, 50e6] * 3).double())


def test_contrast_decoder_is_a_mean_with_the_configuration_added_and_a_layer() -> None:
    torch.manual_seed(0)
    decoder, part, sounding = ContrastDecoder(16, 4), random_latent(), random_sounding()
    decoder.configuration.fit([sounding])
    told = configuration(sounding)
    told = ((told - told.mean(0)) / told.std(0, correction=0)).float()
    first = decoder.configuration.linear
    embedded = (told @ first.weight.T + first.bias).clamp(min=0)
    pooled = torch.cat([part.summary[:, None], part.tokens], 1).mean(1)
    expected = (pooled + embedded) @ decoder.output.weight.T + decoder.output.bias
    torch.testing.assert_close(decoder(part, sounding), expected)


def test_contrast_decoder_hears_of_station_and_bandwidth() -> None:
    torch.manual_seed(0)
    decoder, part, sounding = ContrastDecoder(16, 4), random_latent(), random_sounding()
    decoder.configuration.fit([sounding])
    moved = replaced(sounding, station_position=sounding.station_position + 50)
    wider = replaced(sounding, frequency=2 * sounding.frequency)
    for other in (moved, wider):
        assert (decoder(part, other) - decoder(part, sounding)).abs().max() > 1e-3
