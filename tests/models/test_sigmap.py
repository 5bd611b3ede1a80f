"""SigMap's encoder: its size, what it sees, its mask token, and prompts that move nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.soundings import ANTENNAS, SUBCARRIERS, gradient, random_sounding, replaced
from radiofix.models.latent import unit_power
from radiofix.models.lwlm import sinusoids
from radiofix.models.sigmap import MagnitudeAndPhase, Planes, RealAndImaginary, SigmapEncoder
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, load_recipe

DIM = 16
RECIPES = Path(__file__).parents[2] / "recipes" / "sigmap"


def small(layers: int = 2, planes: Planes | None = None) -> SigmapEncoder:
    torch.manual_seed(0)
    return SigmapEncoder(ANTENNAS, SUBCARRIERS, DIM, layers, 2, (4, 4), planes)


def prompts(links: int = 6, count: int = 3) -> torch.Tensor:
    return torch.randn(links, count, DIM, generator=torch.Generator().manual_seed(8))


def count(encoder: SigmapEncoder) -> int:
    return sum(p.numel() for p in encoder.parameters())


def test_sizes_give_the_numbers_of_parameters_that_are_told() -> None:
    with torch.device("meta"):
        published = SigmapEncoder()
        laptop = SigmapEncoder(dim=128, layers=5, heads=4, patch=(8, 8))
    assert count(published) == 16_896 + 32 + 512 + 4 * 3_152_384 + 1_024 == 12_628_000
    assert published.positions.shape == (257, 512)
    assert count(laptop) == 1_008_384


def test_the_published_recipes_have_the_values_of_table_5() -> None:
    base = load_recipe(PretrainRecipe, RECIPES / "base.yaml")
    tuned = [load_recipe(FinetuneRecipe, RECIPES / f"{n}.yaml") for n in ("position", "fusion")]
    for recipe, samples in ((base, 480_000), *((recipe, 10_000) for recipe in tuned)):
        told = recipe.training
        assert (told.batch, told.rate, told.weight_decay, told.clip) == (32, 1e-4, 1e-5, 1.0)
        assert told.steps == 300 * samples // 32
        assert told.warmup == 10 * samples // 32
        assert told.rate_factor(told.warmup) == 1
        assert told.rate_factor(told.steps) == pytest.approx(0)
        middle = (told.warmup + told.steps) // 2
        assert told.rate_factor(middle) == pytest.approx(0.5, abs=1e-4)
        assert recipe.encoder == base.encoder
    assert base.objectives["masked"].init_args["mask"]["init_args"] == {
        "antenna_bands": 8,
        "subcarrier_bands": 32,
    }


def test_planes_are_those_of_equations_5_and_12() -> None:
    csi = random_sounding(2).csi
    np.testing.assert_array_equal(
        RealAndImaginary()(csi).numpy(), np.stack([csi.numpy().real, csi.numpy().imag], 1)
    )
    np.testing.assert_allclose(
        MagnitudeAndPhase()(csi).numpy(),
        np.stack([np.abs(csi.numpy()), np.angle(csi.numpy())], 1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("planes", [RealAndImaginary(), MagnitudeAndPhase()])
def test_what_was_not_observed_is_the_mask_token_of_equation_21(planes: Planes) -> None:
    encoder = small(planes=planes)
    csi = random_sounding(2).csi.clone()
    csi[0, 3, 5] = 0
    csi[1, :, 9] = complex(-0.0, 0.0)
    scaled = unit_power(csi)
    seen = encoder.masked(planes(scaled), csi == 0).detach().numpy()
    token, image = encoder.mask_token.detach().numpy(), planes(scaled).numpy()
    for n in range(2):
        for a in range(ANTENNAS):
            for k in range(SUBCARRIERS):
                there = csi[n, a, k] != 0
                expected = image[n, :, a, k] if there else token[:, a % 4, k % 4]
                np.testing.assert_array_equal(seen[n, :, a, k], expected)


def test_the_mask_token_matters_where_something_is_hidden_and_only_there() -> None:
    encoder, sounding = small(), random_sounding()
    hidden = sounding.csi.clone()
    hidden[3:, 2:5] = 0
    before = encoder(sounding.with_csi(hidden)).summary
    encoder.mask_token.data += 1
    after = encoder(sounding.with_csi(hidden)).summary
    assert torch.equal(before[:3], after[:3])
    assert float((before[3:] - after[3:]).abs().amax(-1).min().detach()) > 1e-3


def test_tokens_have_antennas_outside_and_subcarriers_inside() -> None:
    sounding, encoder = random_sounding(1), small(layers=0)
    changed = sounding.csi.clone()
    changed[:, 4:8, 8:12] *= 1j
    before, after = encoder(sounding).tokens, encoder(sounding.with_csi(changed)).tokens
    different = (after - before).abs().amax(-1)[0] > 1e-4
    assert different.tolist() == [False] * 6 + [True, False]


def test_every_token_has_a_place_of_its_own_and_the_class_token_the_first() -> None:
    encoder = small(layers=0)
    torch.nn.init.zeros_(encoder.patches.weight)
    torch.nn.init.zeros_(encoder.patches.bias)
    torch.nn.init.zeros_(encoder.class_token)
    latent = encoder(random_sounding(1))
    expected = torch.nn.functional.layer_norm(sinusoids(9, DIM), (DIM,))
    got = torch.cat([latent.summary[:, None], latent.tokens], 1)[0]
    torch.testing.assert_close(got, expected)


def test_prompts_follow_the_class_token_and_move_no_other() -> None:
    encoder, sounding = small(), random_sounding()
    given = prompts()
    seen = []
    encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(sounding)
    latent = encoder(sounding, given)
    without, with_ = seen
    assert torch.equal(with_[:, :1], without[:, :1])
    assert torch.equal(with_[:, 1:4], given)
    assert torch.equal(with_[:, 4:], without[:, 1:])
    assert latent.tokens.shape == (6, 8, DIM)


def test_prompts_come_back_in_no_token_but_tell_every_one() -> None:
    encoder, sounding = small(), random_sounding()
    plain, told = encoder(sounding), encoder(sounding, prompts())
    for one, other in ((plain.summary, told.summary), (plain.tokens, told.tokens)):
        assert float((one - other).abs().amax(-1).min().detach()) > 1e-4
    still = small(layers=0)
    torch.testing.assert_close(still(sounding, prompts()).tokens, still(sounding).tokens)
    none = encoder(sounding, torch.zeros(6, 0, DIM))
    torch.testing.assert_close(none.summary, plain.summary)


def test_a_links_prompt_is_for_that_link_alone_and_their_order_is_nothing() -> None:
    encoder, sounding, given = small(), random_sounding(), prompts()
    other = given.clone()
    other[2] *= -1
    one, two = encoder(sounding, given).summary, encoder(sounding, other).summary
    assert (one - two).abs().amax(-1).gt(1e-5).tolist() == [False, False, True] + 3 * [False]
    turned = encoder(sounding, given.flip(1)).summary
    torch.testing.assert_close(turned, one, atol=1e-5, rtol=1e-5)


def test_a_frozen_encoder_hands_gradient_on_to_its_prompts() -> None:
    encoder, given = small().requires_grad_(False), prompts().requires_grad_()
    # The sum of a whole normalised token is always 0.
    encoder(random_sounding(), given).summary[:, ::2].sum().backward()
    assert float(given.grad.abs().amax(-1).min()) > 0
    assert all(p.grad is None for p in encoder.parameters())


def test_received_power_does_not_matter_but_the_shape_of_the_channel_does() -> None:
    sounding, encoder = random_sounding(), small()
    first = encoder(sounding).summary
    louder = encoder(sounding.with_csi(1e3 * sounding.csi)).summary
    other = encoder(sounding.with_csi(sounding.csi.conj().resolve_conj())).summary
    torch.testing.assert_close(louder, first, atol=1e-4, rtol=1e-4)
    assert float((other - first).abs().max().detach()) > 0.01


def test_gradient_reaches_every_parameter() -> None:
    encoder, sounding = small(), random_sounding()
    csi = sounding.csi.clone()
    csi[:, 1] = 0
    csi[:, :, 2] = 0
    csi[:, 2:4, ::3] = 0
    csi[:, 4, :] = 0
    latent = encoder(sounding.with_csi(csi))
    (latent.summary[:, ::2].sum() + latent.tokens[:, :, 1::3].square().sum()).backward()
    assert not {name for name, size in gradient(encoder).items() if size <= 0}


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    sounding, encoder = random_sounding(), small()
    fewer = replaced(sounding, csi=sounding.csi[:, :4], antenna=sounding.antenna[:, :4])
    cases = [
        (lambda: encoder(fewer), "csi of 4 antennas and 16 subcarriers"),
        (lambda: encoder(sounding, prompts(5)), r"prompts of shape \(5, 3, 16\) do not fit 6"),
        (lambda: encoder(sounding, prompts()[..., :8]), r"prompts of shape \(6, 3, 8\) do not fit"),
        (lambda: SigmapEncoder(8, 18), "8 antennas and 18 subcarriers do not divide"),
        (lambda: SigmapEncoder(8, 16, dim=6, heads=4), "dim=6 is not divisible by heads=4"),
    ]
    for attempt, message in cases:
        with pytest.raises(ValueError, match=message) as error:
            attempt()
        assert "\n" not in str(error.value)
