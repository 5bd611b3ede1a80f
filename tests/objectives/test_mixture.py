"""Objectives together: each sounding encoded once, the right sum, balanced where asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.soundings import gradient, random_sounding, replaced
from objectives.views import CountingEncoder, generator, random_views, small_objectives
from radiofix.models.latent import Latent
from radiofix.objectives.mixture import BalancedMixture, Mixture, encode, share
from radiofix.objectives.objective import Views
from radiofix.types import Sounding

PAPER = {"sfmcm": 10.0, "dti": 20.0, "picl": 1.0}


class Echo:
    """Latents that are the first antenna's real part."""

    dim = 16

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, sounding: Sounding) -> Latent:
        self.shapes.append(tuple(sounding.csi.shape))
        return Latent(sounding.csi.real[:, 0], sounding.csi.real)


def mixture_of(*names: str, kind: type[Mixture] = Mixture, **options: object) -> Mixture:
    objectives = {name: small_objectives()[name] for name in names or PAPER}
    mixture = kind(objectives, {name: PAPER[name] for name in objectives}, **options)
    mixture.fit([random_views()])
    return mixture


def test_three_objectives_encode_three_soundings_in_one_pass() -> None:
    mixture, encoder = mixture_of(), CountingEncoder()
    mixture(encoder, mixture.prepare(random_views(links=6), generator()))
    assert encoder.calls == [18]


def test_total_is_equation_19_of_the_losses_that_each_objective_has_alone() -> None:
    mixture, encoder, views = mixture_of(), CountingEncoder(), random_views()
    prepared = mixture.prepare(views, generator())
    total, losses = mixture(encoder, prepared)
    for name, objective in mixture.objectives.items():
        latents = [encoder(sounding) for sounding in prepared[name].soundings]
        torch.testing.assert_close(losses[name], objective(latents, prepared[name]))
    expected = sum(PAPER[name] * float(loss.detach()) for name, loss in losses.items())
    assert float(total.detach()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("names", "rows"),
    [(("sfmcm",), 6), (("dti",), 6), (("picl",), 12), (("dti", "picl"), 12)],
)
def test_any_objective_can_be_left_out(names: tuple[str, ...], rows: int) -> None:
    mixture, encoder = mixture_of(*names), CountingEncoder()
    total, losses = mixture(encoder, mixture.prepare(random_views(), generator()))
    assert set(losses) == set(names)
    assert bool(total.isfinite())
    assert encoder.calls == [rows]


def test_gradient_reaches_encoder_and_all_decoders() -> None:
    mixture, encoder = mixture_of(), CountingEncoder()
    mixture(encoder, mixture.prepare(random_views(), generator()))[0].backward()
    missed = [n for part in (mixture, encoder) for n, size in gradient(part).items() if size <= 0]
    # A key's bias moves all logits of a softmax alike: its gradient is rounding.
    assert not [name for name in missed if "in_proj_bias" not in name]


def test_soundings_of_other_shapes_go_apart_and_come_back_in_place() -> None:
    mixture, views = mixture_of("picl"), random_views()
    narrow = random_sounding(6, seed=7)
    narrow = replaced(narrow, csi=narrow.csi[:, :4], antenna=narrow.antenna[:, :4])
    echo = Echo()
    latents = encode(echo, mixture.prepare(Views(views.first, narrow, views.widest), generator()))
    assert echo.shapes == [(6, 8, 16), (6, 4, 16)]
    for latent, sounding in zip(latents["picl"], (views.first, narrow), strict=True):
        assert torch.equal(latent.summary, sounding.csi.real[:, 0])


def test_rows_shared_out_are_rows_of_the_whole_and_stay_one_object_where_they_were() -> None:
    mixture, encoder = mixture_of("sfmcm", "dti"), CountingEncoder()
    prepared = mixture.prepare(random_views(), generator())
    halves = [share(prepared, slice(0, 3)), share(prepared, slice(3, 6))]
    whole = mixture(encoder, prepared)[1]
    parts = [mixture(encoder, half)[1] for half in halves]
    for name in whole:
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, whole[name])
    both = share(mixture_of().prepare(random_views(), generator()), slice(0, 2))
    assert both["dti"].soundings[0] is both["picl"].soundings[0]
    assert len(both["picl"].soundings[1]) == 2


def gradient_norm(mixture: Mixture, name: str, prepared: dict) -> float:
    """Of one objective's loss with respect to all latents."""
    latents = encode(CountingEncoder(), prepared)
    outputs = [t for latent in latents[name] for t in (latent.summary, latent.tokens)]
    loss = mixture.objectives[name](latents[name], prepared[name])
    slopes = torch.autograd.grad(loss, outputs)
    return float(torch.cat([slope.flatten() for slope in slopes]).norm())


def test_balanced_weights_make_gradient_norms_match_the_shares() -> None:
    mixture = mixture_of(kind=BalancedMixture)
    prepared = mixture.prepare(random_views(), generator())
    total, losses = mixture(CountingEncoder(), prepared)
    weights = dict(zip(losses, mixture.balanced.tolist(), strict=True))
    ratios = [weights[n] * gradient_norm(mixture, n, prepared) / PAPER[n] for n in PAPER]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-4)
    assert sum(weights.values()) == pytest.approx(sum(PAPER.values()), rel=1e-5)
    expected = sum(weights[n] * float(loss.detach()) for n, loss in losses.items())
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)


def test_measuring_leaves_no_gradient_behind() -> None:
    mixture, encoder = mixture_of(kind=BalancedMixture), CountingEncoder()
    mixture(encoder, mixture.prepare(random_views(), generator()))
    assert all(p.grad is None for p in [*mixture.parameters(), *encoder.parameters()])


def weights_after(mixture: Mixture, steps: range) -> list[list[float]]:
    found = []
    for step in steps:
        views = random_views(seed=step)
        mixture(CountingEncoder(), mixture.prepare(views, generator(step)))
        found.append(mixture.balanced.tolist())
    return found


def test_balance_is_measured_every_few_steps_in_training_alone() -> None:
    mixture = mixture_of(kind=BalancedMixture, every=2)
    first, second, third = weights_after(mixture, range(3))
    assert first == second
    assert third != second
    mixture.eval()
    assert weights_after(mixture, range(3, 6)) == [third] * 3


def test_a_resumed_run_goes_on_with_the_same_balance() -> None:
    whole = mixture_of(kind=BalancedMixture, every=2)
    expected = weights_after(whole, range(6))
    begun, resumed = (mixture_of(kind=BalancedMixture, every=2) for _ in range(2))
    weights_after(begun, range(3))
    resumed.load_state_dict(begun.state_dict())
    assert weights_after(resumed, range(3, 6)) == expected[3:]


def test_the_scale_of_configurations_is_taken_from_both_views() -> None:
    views = random_views()
    apart = replaced(views.second, station_position=views.second.station_position + 1000)
    mixture = mixture_of()
    mixture.fit([replace(views, second=apart)])
    x = torch.cat([views.first.station_position, apart.station_position])[:, 0]
    scale = mixture.objectives["picl"].decoder.configuration.standardizer
    torch.testing.assert_close(scale.mean[0], x.mean())
    torch.testing.assert_close(scale.deviation[0], x.std(correction=0))


def test_names_and_weights_that_do_not_fit_are_refused_in_one_line() -> None:
    objectives = small_objectives()
    with pytest.raises(ValueError, match=r"weights are given for .* name the same"):
        Mixture(objectives, {"sfmcm": 1.0})
    with pytest.raises(ValueError, match="weight dti=0 must be positive: leave dti out"):
        Mixture(objectives, PAPER | {"dti": 0.0})
    with pytest.raises(ValueError, match="name at least one"):
        Mixture({}, {})
