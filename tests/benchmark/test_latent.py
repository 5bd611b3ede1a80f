"""What pretraining taught: its bound, what it fills in, and what readers find in its latent."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from classic.scenes import single_waves
from cli.mistakes import mistake
from miniature import STATION_ORIENTATION, STATION_POSITION, user_position
from radiofix.benchmark import probes
from radiofix.benchmark.held_out import (
    HeldOut,
    continued,
    contrasts,
    curves,
    hidden_errors,
    info_nce,
    opened,
    reconstruct,
    transform,
    typical,
)
from radiofix.benchmark.latent import knowledge, report
from radiofix.benchmark.probes import QUANTITIES, Known
from radiofix.cli import main
from radiofix.data.store import open_paths
from radiofix.objectives.dti import Dti, dissimilarity
from radiofix.objectives.picl import Picl, nt_xent
from radiofix.objectives.sfmcm import Sfmcm
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.training.batches import LabelledBatches
from radiofix.training.checkpoints import RunFolder
from radiofix.training.pool import HeldPool
from radiofix.training.pretrain import pretrain
from radiofix.training.recipe import PretrainRecipe, load_recipe
from radiofix.training.users import Choice, Everybody
from training.conftest import RECIPES, store  # noqa: F401  # a fixture

BATCH = 4
READ = ("summary", "tokens")
OURS = (
    "encoder.class_path=radiofix.models.radiofix.RadiofixEncoder",
    "encoder.init_args={dim: 32, layers: 1, heads: 2, patch_antennas: 2, patch_subcarriers: 2}",
)


def trained(folder, store, *changes):  # noqa: F811
    small = ["training.steps=4", "training.validate_every=2", f"training.batch={BATCH}"]
    smoke = RECIPES / "lwlm" / "smoke.yaml"
    recipe = load_recipe(PretrainRecipe, smoke, [*small, f"store={store}", *changes])
    pretrain(Fabric(accelerator="cpu", devices=1), recipe, RunFolder(folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, store):  # noqa: F811
    """Of a run whose encoder sees channels from their strongest wave."""
    return trained(tmp_path_factory.mktemp("latent") / "run", store, *OURS)


@pytest.fixture
def asked(folder, store):  # noqa: F811
    return HeldOut(opened(folder), open_paths(store), users=8)


def one_batch(asked, bandwidths=(10e6,)):
    """Views of the held-out users, and a generator that always draws alike."""
    views, _ = next(asked.views(BATCH, bandwidths))
    return views, lambda: torch.Generator().manual_seed(5)


def test_the_bound_is_log_n_less_the_contrast_at_the_samples_seen(folder):
    found = curves(opened(folder))
    lines = (folder / "validation.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    assert [float(row["step"]) for row in rows] == [2, 4]
    assert found["samples"] == [2 * BATCH, 4 * BATCH]
    assert found["bound"] == pytest.approx([math.log(4) - float(row["picl"]) for row in rows])
    assert found["sfmcm"] == [float(row["sfmcm"]) for row in rows]


def test_a_contrast_that_knows_nothing_bounds_by_nothing_and_a_perfect_one_by_log_n():
    alike = torch.ones(16, 8)
    assert float(info_nce(alike, alike, 0.2)) == pytest.approx(math.log(16))
    apart = torch.eye(16)
    assert float(info_nce(apart, 3 * apart, 0.01)) == pytest.approx(0, abs=1e-6)
    wrong = info_nce(2 * apart, 3 * apart.roll(1, 0), 1.0)
    assert float(wrong) == pytest.approx(math.log(math.e + 15))


def test_the_published_contrast_is_never_below_the_one_that_the_bound_is_of():
    generator = torch.Generator().manual_seed(0)
    user = torch.arange(12)
    for noise in (0.0, 0.3, 3.0):
        first = torch.randn(12, 6, generator=generator)
        second = first + noise * torch.randn(12, 6, generator=generator)
        both = info_nce(first, second, 0.2) + info_nce(second, first, 0.2)
        assert nt_xent(first, second, user, 0.2) >= both / 2


class Oracle(nn.Module):
    """A decoder that returns what it was given to return."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, part):
        return self.answer


def test_a_decoder_that_returns_the_truth_has_no_hidden_error(asked):
    views, generator = one_batch(asked)
    truth = reconstruct(asked.run, views, generator()).truth
    assert not torch.equal(truth, views.first.csi)
    for factor, nmse in ((1.0, 0.0), (0.0, 1.0), (1.5, 0.25)):
        asked.run.objective(Sfmcm).decoder = Oracle(factor * truth)
        found = reconstruct(asked.run, views, generator()).nmse
        torch.testing.assert_close(found["model"], torch.full((BATCH,), nmse))
        assert torch.equal(found["zero"], torch.ones(BATCH))


def test_what_is_compared_is_what_the_objectives_train(asked):
    views, generator = one_batch(asked)
    filled = reconstruct(asked.run, views, generator())
    told = transform(asked.run, views, generator())
    found = {
        Sfmcm: filled.nmse["model"].mean(),
        Dti: dissimilarity(told.found, told.truth).mean(),
    }
    encoder = asked.run.module.encoder
    for kind, value in found.items():
        objective = asked.run.objective(kind)
        prepared = objective.prepare(views, generator())
        latents = [encoder(sounding) for sounding in prepared.soundings]
        torch.testing.assert_close(objective(latents, prepared).detach(), value)
    assert not (filled.visible & filled.hidden).any()


def test_a_channel_of_one_path_is_continued_by_its_wave(asked):
    recipe = asked.run.recipe
    one = replace(recipe, receiver=replace(recipe.receiver, paths=1))
    alone = HeldOut(replace(asked.run, recipe=one), asked.store, users=8)
    views, generator = one_batch(alone)
    found = reconstruct(alone.run, views, generator()).nmse
    assert found["NOMP"].max() < 1e-6
    assert found["one path"].max() < 1e-6
    views, generator = one_batch(asked)
    several = reconstruct(asked.run, views, generator()).nmse
    assert 1e-6 < several["NOMP"].mean() < several["one path"].mean()


def test_one_antenna_alone_is_continued_too():
    sounding = Channel(20e6, 64, ula(4)).sound(single_waves(20))
    seen = sounding.csi.clone()
    seen[:, 1:] = 0
    found = continued(sounding.with_csi(seen))
    away = found[:, 0] - sounding.csi[:, 0]
    assert away.abs().max() < 1e-3 * sounding.csi.abs().max()
    assert found.isfinite().all()


def test_hidden_errors_are_means_over_all_held_out_users_at_each_bandwidth(asked):
    rows = hidden_errors(asked)
    assert [row["bandwidth"] for row in rows] == [2.5e6, 5e6, 10e6]
    views, generator = next(asked.views(8, [5e6]))
    by_hand = reconstruct(asked.run, views, generator).nmse
    assert rows[1]["links"] == 8
    for name in ("model", "one path", "zero", "NOMP"):
        assert rows[1]["mean"][name] == pytest.approx(float(by_hand[name].mean()), rel=1e-5)


def test_only_users_that_no_training_saw_are_asked(asked, store):  # noqa: F811
    views, _ = next(asked.views(8, [5e6]))
    test = set(open_paths(store).split("random", "test").tolist())
    assert set(views.first.user.tolist()) <= test
    assert len(set(views.first.user.tolist())) == 8


def test_the_contrast_is_asked_among_as_many_users_as_there_are(asked):
    rows = contrasts(asked, [4, 8, 500])
    assert [(row["partner"], row["users"]) for row in rows] == [
        ("as trained", 4),
        ("as trained", 8),
        ("another station", 4),
        ("another station", 8),
    ]
    views, _ = next(asked.views(8, asked.run.recipe.receiver.bandwidths))
    objective, encoder = asked.run.objective(Picl), asked.run.module.encoder
    with torch.no_grad():
        both = [
            objective.decoder(encoder(s).part(*objective.part), s)
            for s in (views.first, views.second)
        ]
    whole = float(info_nce(*both, objective.temperature))
    assert rows[1]["info_nce"] == pytest.approx(whole, rel=1e-5)
    assert rows[1]["bound"] == pytest.approx(math.log(8) - whole, abs=1e-5)


def linear(links, seed):
    """Features, and labels that are a linear map of them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(3, [1, 5, 0.1, 2], (links, 4))
    maps = np.random.default_rng(1)
    # Angles stay within half a turn, where a linear map can reach them.
    truth = {
        name: 5 * features @ maps.normal(size=(4, n)) + maps.normal(size=n)
        for name, n in (("position", 2), ("toa", 1), ("aoa", 1))
    }
    return Known({"linear": features, "noise": rng.normal(size=(links, 4))}, truth)


def test_ridge_finds_a_linear_map_and_noise_tells_no_reader_anything():
    found = probes.probe(linear(400, 2), linear(300, 3), seed=0)
    errors = {(a.features, a.quantity, a.reader): a.mean for a in found}
    for quantity in QUANTITIES:
        truth = linear(300, 3).truth[quantity]
        spread = np.linalg.norm(truth - truth.mean(0), axis=-1).mean()
        assert errors["linear", quantity, "ridge"] < 1e-5
        assert errors["noise", quantity, "ridge"] > 0.9 * spread
        assert errors["noise", quantity, "neighbours"] > 0.9 * spread
        assert 1e-3 < errors["linear", quantity, "neighbours"] < 0.6 * spread


def test_the_number_of_neighbours_is_chosen_where_it_was_not_fitted():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(400, 1))
    steps = np.sign(places)
    clean = probes.fit("neighbours", places, steps, 0)
    noisy = probes.fit("neighbours", places, steps + 5 * rng.normal(size=steps.shape), 0)
    chosen = [m.best_params_["kneighborsregressor__n_neighbors"] for m in (clean, noisy)]
    assert chosen[0] <= 4
    assert chosen[1] >= 16


def test_an_angle_is_wrong_the_short_way_round():
    away = QUANTITIES["aoa"].errors(np.array([[179.0], [5.0]]), np.array([[-179.0], [-5.0]]))
    np.testing.assert_allclose(away, [2, 10])
    way = QUANTITIES["toa"].errors(np.array([[400.0]]), np.array([[20.0]]))
    np.testing.assert_allclose(way, [380])


def test_links_that_are_not_asked_are_neither_fitted_nor_judged():
    labelled, held_out = linear(200, 2), linear(100, 3)
    labelled.truth["toa"][:50] = np.nan
    held_out.truth["toa"][:30] = np.nan
    found = {(a.quantity, a.reader): a for a in probes.probe(labelled, held_out, seed=0)[:6]}
    assert found["toa", "ridge"].links == 70
    assert found["position", "ridge"].links == 100
    assert found["toa", "ridge"].mean < 1e-5


def known_links(asked):
    pool = HeldPool(asked.store, np.arange(60), [1])
    users = len(pool.reachable)
    return LabelledBatches(pool, asked.run.recipe.receiver, users).all(torch.Generator())


def test_what_is_true_of_a_link_is_its_geometry(asked):
    (sounding, truth), *_ = known_links(asked)
    found = probes.answers(sounding, truth)
    place = user_position()[sounding.user.numpy()]
    away = place - STATION_POSITION[1]
    assert STATION_ORIENTATION[1, 0] == np.pi
    sight = truth.line_of_sight.numpy()
    np.testing.assert_allclose(found["position"], place[:, :2])
    np.testing.assert_allclose(found["toa"][sight, 0], np.linalg.norm(away, axis=-1)[sight])
    # The station looks west: a user to its west and north is on its right hand.
    azimuth = np.degrees(np.arctan2(-away[:, 1], -away[:, 0]))
    np.testing.assert_allclose(found["aoa"][sight, 0], azimuth[sight], atol=1e-9)
    assert np.isnan(found["toa"][~sight]).all()
    assert sight.any()


def test_a_probe_a_part_beside_the_untrained_encoder_the_wave_and_nothing(asked):
    found = knowledge(asked, 20, "west", 10e6)
    names = {answer["features"] for answer in found}
    shares = {f"{p}/{kind}" for p in ("sfmcm", "dti", "picl", "whole") for kind in READ}
    both = {f"{encoder}/{share}" for encoder in ("pretrained", "untrained") for share in shares}
    assert names == both | {"wave", "nothing", "the truth"}
    assert {a["reader"] for a in found if a["features"] == "wave"} == {
        "ridge",
        "neighbours",
        "as it is",
    }
    errors = {(a["features"], a["quantity"], a["reader"]): a["mean"] for a in found}
    assert errors["pretrained/whole/summary", "toa", "ridge"] != pytest.approx(
        errors["untrained/whole/summary", "toa", "ridge"], rel=1e-6
    )
    units = {a["quantity"]: a["unit"] for a in found}
    assert units == {"position": "m", "toa": "m", "aoa": "degrees"}
    run, known = asked.run.recipe, asked.store.dataset["user_position"].values[:, :2]
    choice = Choice(asked.store, run.split, [0], Everybody())
    rows = choice.labelled(20, run.seed), choice.held_out("test", 20, run.seed)
    apart = np.linalg.norm(known[rows[1]][:, None] - known[rows[0]], axis=-1).min(1)
    reached = asked.store.links(rows[1], 0).present.any(-1).numpy()
    assert asked.store.links(rows[0], 0).present.any(-1).all()
    nearest = errors["the truth", "position", "nearest label"]
    assert nearest == pytest.approx(apart[reached].mean())
    # The strongest wave is the straight one here wherever there is one: 10 MHz is 30 m.
    assert errors["wave", "toa", "as it is"] < 10 < errors["nothing", "position", "mean label"]


def test_the_typical_links_are_those_at_the_quantiles():
    values = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
    assert typical(values, [0, 0.25, 0.5, 1]) == [1, 3, 4, 0]


def test_a_run_that_goes_on_is_opened_at_its_last_checkpoint(folder, tmp_path):
    going = tmp_path / "going"
    shutil.copytree(folder, going)
    for name in ("config.json", "model.safetensors"):
        (going / name).unlink()
    run, done = opened(going), opened(folder)
    assert not run.finished
    assert done.finished
    assert run.step == done.step == 4
    same = dict(done.module.state_dict())
    assert all(torch.equal(v, same[k]) for k, v in run.module.state_dict().items())


def test_what_a_run_was_not_trained_for_is_not_reported(tmp_path, store):  # noqa: F811
    picl = load_recipe(PretrainRecipe, RECIPES / "lwlm" / "smoke.yaml").objectives["picl"]
    alone = (f"objectives={json.dumps({'picl': picl.plain})}", "weights={picl: 1}")
    run = opened(trained(tmp_path / "run", store, *alone))
    found = report(HeldOut(run, open_paths(store), 8), 20, "west", 5e6)
    assert "hidden_nmse" not in found
    assert {row["users"] for row in found["contrast"]} == {4, 8}
    # An encoder that sees channels as they are has no wave to be told.
    assert "wave" not in {answer["features"] for answer in found["probes"]["answers"]}
    with pytest.raises(ValueError, match="was not trained for Sfmcm"):
        run.objective(Sfmcm)


def test_bench_latent_keeps_what_it_measures_and_draws_it(capsys, tmp_path, folder, store):  # noqa: F811
    pictures, out = tmp_path / "pictures", tmp_path / "latent.json"
    command = ("bench", "latent", folder, "--store", store, "--out", out, "--pictures", pictures)
    few = ("--users", 8, "--labels", 20, "--station", "west", "--bandwidth", 5e6)
    assert main([str(a) for a in (*command, *few)]) == 0
    told = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert "| held-out users after 4 of 4 steps | 16 samples |" in told
    bands = [row["mean"]["model"] for row in found["hidden_nmse"]["test"]]
    assert f"| test users, model | {' | '.join(f'{nmse:.3g}' for nmse in bands)} |" in told
    assert "| validation users, zero | 1 | 1 | 1 |" in told
    (alone,) = [r for r in found["contrast"] if (r["partner"], r["users"]) == ("as trained", 8)]
    assert f"| as trained | 8 | {alone['info_nce']:.2f} | {alone['bound']:.2f} | 2.08 |" in told
    medians = [
        [
            next(
                a["median"]
                for a in found["probes"]["answers"]
                if a["features"] == f"{encoder}/dti/tokens"
                and (a["quantity"], a["reader"]) == (quantity, "ridge")
            )
            for encoder in ("pretrained", "untrained")
        ]
        for quantity in QUANTITIES
    ]
    row = " | ".join(f"{one:.1f} / {other:.1f}" for one, other in medians)
    assert f"| dti: tokens | ridge | {row} |" in told
    assert str(tmp_path) not in out.read_text()
    assert found["recipe"]["store"] == store.name
    assert sorted(p.name for p in pictures.iterdir()) == [
        f"pretraining-{name}.png" for name in ("delay-angle", "latent", "losses", "masked")
    ]
    (masked,) = found["pictured"]["masked"]
    assert masked["bandwidth"] == 10e6
    assert masked["hidden_nmse"]["zero"] == 1
    away = [link["dissimilarity"] for link in found["pictured"]["delay_angle"]]
    assert away == sorted(away)
    assert len(away) == 3


def test_mistakes_are_told_in_one_line(capsys, tmp_path, folder, store):  # noqa: F811
    bench = ("bench", "latent")
    assert "is no pretraining run" in mistake(capsys, *bench, tmp_path, "--store", store)
    other = ("--store", store, "--users", 8, "--labels", 20, "--station", "5")
    assert "has no station 5" in mistake(capsys, *bench, folder, *other)
    shutil.copytree(folder, tmp_path / "wider")
    recipe = (folder / "recipe.json").read_text()
    (tmp_path / "wider" / "recipe.json").write_text(recipe.replace('"layers": 1', '"layers": 2', 1))
    wider = mistake(capsys, *bench, tmp_path / "wider", "--store", store)
    assert "wider does not fit its own recipe" in wider
    (tmp_path / "recipe.json").write_text('{"task": {}}')
    assert "is no pretraining run" in mistake(capsys, *bench, tmp_path, "--store", store)
