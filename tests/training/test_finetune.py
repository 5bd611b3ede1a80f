"""Fine-tuning: what learns, what stays, when it ends, and how its errors are told."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import nn

from radiofix.data.store import open_paths
from radiofix.models.frame import FrameHead
from radiofix.models.parts import Part
from radiofix.models.pretrained import load
from radiofix.training.adaptation import FrozenEncoder
from radiofix.training.batches import LabelledBatches
from radiofix.training.blending import blends
from radiofix.training.checkpoints import RunFolder
from radiofix.training.evaluate import (
    evaluate,
    fixes,
    held_out,
    honesty,
    implied,
    joined,
    part_links,
    summary,
)
from radiofix.training.finetune import LabelledBatch, LabelledStream, finetune
from radiofix.training.localizing import Finetuning, Start, build_localizer, finetuned
from radiofix.training.pool import HeldPool
from radiofix.training.pretrain import pretrain
from radiofix.training.recipe import FinetuneRecipe, read_recipe
from radiofix.training.start import RECIPE, begin, expect_run
from radiofix.training.watch import DivergedError
from radiofix.types import Fix

ENCODER = {
    "class_path": "radiofix.models.lwlm.LwlmEncoder",
    "init_args": {
        "antennas": 8,
        "subcarriers": 16,
        "dim": 32,
        "layers": 2,
        "heads": 2,
        "feedforward": 64,
        "patch": 2,
    },
}

TOA = {"class_path": "radiofix.objectives.tasks.ToaTask"}
TOA_HEAD = {"class_path": "radiofix.models.heads.ToaHead"}


@pytest.fixture
def recipe(store):
    def changed(**others):
        training = {"steps": 30, "batch": 10, "rate": 1e-2, "validate_every": 10, "log_every": 5}
        content = {
            "encoder": ENCODER,
            "head": {"class_path": "radiofix.models.heads.PositionHead"},
            "task": {"class_path": "radiofix.objectives.tasks.PositionTask"},
            "receiver": {"bandwidths": [10e6], "antennas": 8, "subcarriers": 16},
            "store": str(store),
            "split": "random",
            "labels": 20,
            "training": {**training, **others.pop("training", {})},
            **others,
        }
        return read_recipe(FinetuneRecipe, content, "test")

    return changed


def run(recipe, folder, work=finetune):
    return work(Fabric(accelerator="cpu", devices=1), recipe, RunFolder(folder))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, store):
    from radiofix.training.recipe import PretrainRecipe, load_recipe

    from .conftest import RECIPES

    changes = ["training.steps=3", "training.batch=8", f"store={store}"]
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    run(load_recipe(PretrainRecipe, RECIPES / "lwlm" / "smoke.yaml", changes), folder, pretrain)
    return folder


def test_honesty_counts_the_mistakes_of_fixes_that_were_stated_to_be_sure():
    # Errors of 1, 60, 60 and 300 m; deviations of 5, 5, 40 and 200 m; the last has no trust.
    position = torch.zeros(4, 3, dtype=torch.float64)
    away = torch.tensor([1.0, 60, 60, 300], dtype=torch.float64)
    deviation = torch.tensor([5.0, 5, 40, 200], dtype=torch.float64)
    covariance = deviation.square()[:, None, None] * torch.eye(3, dtype=torch.float64)
    fix = Fix(position, covariance, torch.tensor([True, True, True, False]))
    truth = SimpleNamespace(position=torch.stack([away, 0 * away, 0 * away + 70], -1))
    localizer = SimpleNamespace(head=FrameHead(), fix=lambda sounding: fix)
    links = [(None, truth)]
    told = honesty(fixes(SimpleNamespace(localizer=localizer), links), links)
    # Of 2.146 deviations: 1 in 10.7, 60 not in 10.7, 60 in 85.8, 300 in 429.
    assert told == {"held_at_90": 0.75, "trusted": 0.75, "sure": 0.5, "far_though_sure": 0.5}


def test_users_are_joined_over_their_stations_and_errors_counted_once_a_user():
    # Two users: the first heard twice, 2 m and 4 m too far east and as sure of both; the second
    # heard once, 5 m off. Another batch has a third, heard by nobody else.
    position = torch.tensor([[12.0, 0, 1], [14, 0, 1], [0, 25, 1]], dtype=torch.float64)
    covariance = torch.eye(3, dtype=torch.float64).repeat(3, 1, 1) * 9
    fix = Fix(position, covariance, torch.ones(3, dtype=torch.bool))
    truth = SimpleNamespace(position=torch.tensor([[10.0, 0, 1], [10, 0, 1], [0, 20, 1]]))
    sounding = SimpleNamespace(user=torch.tensor([7, 7, 9]))
    told = joined([fix], [(sounding, truth)])
    assert told["users"] == 2
    assert told["mean"] == pytest.approx((3 + 5) / 2)
    # 3 m are inside 2.146 / sqrt(2) deviations of 3 m, 5 m inside 2.146.
    assert told["held_at_90"] == told["trusted"] == 1.0
    last = slice(2, 3)
    alone = (
        SimpleNamespace(user=sounding.user[last]),
        SimpleNamespace(position=truth.position[last]),
    )
    assert joined([fix[last]], [alone]) == {}
    both = joined([fix, fix[last]], [(sounding, truth), alone])
    assert both["users"] == 3
    assert both["mean"] == pytest.approx((3 + 5 + 5) / 3)
    assert joined([], [(sounding, truth)]) == {}


def test_it_learns_and_a_finished_run_gives_its_errors_again(tmp_path, store, recipe):
    longer = recipe(training={"steps": 80, "validate_every": 20})
    outcome = run(longer, tmp_path / "run")
    lines = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    means = [float(line.split(",")[1]) for line in lines[1:]]
    assert means[-1] < 0.8 * means[0]
    assert outcome.progress.best == pytest.approx(min(means), rel=1e-6)
    again = evaluate(tmp_path / "run", open_paths(store), part="validation")
    assert again["mean"] == pytest.approx(outcome.progress.best, rel=1e-4)
    paths = (open_paths(store).dataset["interactions"].values >= 0).any(-1)
    assert again["answers"] == paths[open_paths(store).split("random", "validation")].sum()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["store"]["sha256"] == open_paths(store).attributes["sha256"]
    assert config["versions"]["torch"] == torch.__version__
    assert config["figures"]["validation_mean"] == pytest.approx(outcome.progress.best)
    assert finetuned(tmp_path / "run")[1] == longer


def test_a_frozen_pretrained_encoder_stays_as_it_was(tmp_path, pretrained, recipe):
    frozen = recipe(
        **{"from": str(pretrained)},
        adaptation={"class_path": "radiofix.training.adaptation.FrozenEncoder"},
        encoder=None,
        training={"steps": 5},
    )
    run(frozen, tmp_path / "run")
    before = load_file(pretrained / "model.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    names = [name for name in before if name.startswith("encoder.")]
    assert len(names) > 20
    for name in names:
        assert torch.equal(before[name], after[f"localizer.{name}"]), name
    rebuilt, told = finetuned(tmp_path / "run")
    assert told.encoder is not None
    assert isinstance(rebuilt, Finetuning)


def test_low_rank_tuning_is_merged_into_an_encoder_that_changed(
    tmp_path, store, pretrained, recipe
):
    tuned = recipe(
        **{"from": str(pretrained)},
        adaptation={"class_path": "radiofix.training.adaptation.LowRank"},
        training={"steps": 5},
    )
    outcome = run(tuned, tmp_path / "run")
    before = load_file(pretrained / "model.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    name = "encoder.layers.0.self_attn.in_proj_weight"
    assert not torch.equal(before[name], after[f"localizer.{name}"])
    bias = "encoder.layers.0.self_attn.in_proj_bias"
    assert torch.equal(before[bias], after[f"localizer.{bias}"])
    found = evaluate(tmp_path / "run", open_paths(store), part="validation")
    assert found["mean"] == pytest.approx(outcome.progress.best, rel=1e-4)


def test_a_frozen_encoder_drops_nothing_out(recipe):
    module = build_localizer(recipe())
    assert module.train().localizer.encoder.training
    FrozenEncoder().adapt(module.localizer.encoder)
    module.train()
    assert not module.localizer.encoder.training
    assert module.localizer.head.training


def test_patience_ends_a_run_that_stands_still(tmp_path, recipe):
    still = {"rate": 1e-30, "validate_every": 2, "patience": 3, "steps": 1000}
    outcome = run(recipe(training=still), tmp_path / "run")
    assert outcome.finished
    assert outcome.progress.best_step == 2
    assert outcome.progress.step == 8


def test_a_diverging_run_names_step_users_and_the_last_good_checkpoint(tmp_path, recipe):
    wild = {"rate": 1e4, "checkpoint_every": 1, "log_every": 1, "divergence": 3.0, "steps": 200}
    with pytest.raises(DivergedError, match=r"at step \d+, users \d+.*last good checkpoint") as e:
        run(recipe(training=wild), tmp_path / "run")
    assert "\n" not in str(e.value)
    good = RunFolder(tmp_path / "run").load("last.pt")["progress"]["step"]
    assert f"step {good}" in str(e.value)
    assert f"at step {good + 1}," in str(e.value)


def test_a_network_whose_matrices_cannot_be_factored_has_diverged(tmp_path, recipe, monkeypatch):
    def lost(self, batch):
        return {"loss": torch.linalg.cholesky(-torch.eye(2)).sum()}

    monkeypatch.setattr(Finetuning, "forward", lost)
    with pytest.raises(DivergedError, match=r"no numbers any more after step 0; .*lower the rate"):
        run(recipe(), tmp_path / "run")


def test_shares_of_a_batch_average_to_its_mean_and_keep_users_whole(store, recipe):
    one = recipe()
    module = build_localizer(replace(one, seed=3)).eval()
    pool = HeldPool(open_paths(store), np.arange(60), [0, 1])
    links = LabelledBatches(pool, one.receiver, 21)
    sounding, truth = links.draw(torch.Generator().manual_seed(0))
    module.localizer.head.fit([sounding], [truth])
    module.task.fit([sounding], [truth])
    batch = LabelledBatch(sounding, truth)
    whole = module(batch.share(0, 1))["loss"]
    shares = [batch.share(rank, 3) for rank in range(3)]
    users = [set(share.contents[0].user.tolist()) for share in shares]
    assert not users[0] & users[1]
    assert not users[1] & users[2]
    assert sum(len(share.contents[0]) for share in shares) == len(sounding)
    mean = sum(module(share)["loss"] for share in shares) / 3
    assert mean.item() == pytest.approx(whole.item(), rel=1e-5)


def test_users_who_are_placed_by_all_their_links_count_once_however_many_these_are(store, recipe):
    heads = "radiofix.models.heads"
    estimator = {"class_path": f"{heads}.PositionHead", "init_args": {"dim": 32}}
    fused = recipe(
        task={"class_path": "radiofix.objectives.tasks.FusedPositionTask"},
        head={"class_path": f"{heads}.FusionHead", "init_args": {"estimator": estimator}},
    )
    module = build_localizer(fused).eval()
    pool = HeldPool(open_paths(store), np.arange(60), [0, 1])
    links = LabelledBatches(pool, recipe().receiver, 21, fewest_stations=1)
    sounding, truth = links.draw(torch.Generator().manual_seed(0))
    module.localizer.head.fit([sounding], [truth])
    module.task.fit([sounding], [truth])
    users, heard = sounding.user.unique(return_counts=True)
    assert set(heard.tolist()) == {1, 2}
    batch = LabelledBatch(sounding, truth, together=module.task.together)
    each = module.task.loss(module.localizer(sounding), sounding, truth).detach().double().numpy()
    own = [each[(sounding.user == user).numpy()].mean() for user in users]
    whole = module(batch.share(0, 1))["loss"].item()
    assert whole == pytest.approx(np.mean(own), rel=1e-5)
    assert abs(whole - each.mean()) > 1e-3 * whole
    shares = [module(batch.share(rank, 3))["loss"].item() for rank in range(3)]
    assert np.mean(shares) == pytest.approx(whole, rel=1e-5)
    for one, together in ((fused, True), (recipe(), False)):
        stream = LabelledStream(links, build_localizer(one).task.together)
        drawn = stream.draw(torch.Generator().manual_seed(0))
        assert (drawn.counts is not None) == together


def test_the_summary_is_what_numpy_says():
    error = torch.rand(1001, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2
    reference = error.numpy()
    found = summary(error)
    assert found["mean"] == pytest.approx(reference.mean())
    assert found["median"] == pytest.approx(np.median(reference))
    assert found["rmse"] == pytest.approx(np.sqrt((reference**2).mean()))
    for share in (67, 80, 90, 95):
        assert found[f"p{share}"] == pytest.approx(np.percentile(reference, share))


def test_what_cannot_begin_is_one_line(tmp_path, recipe):
    for changes, message in (
        ({"encoder": None}, "no encoder is given"),
        ({"head": None}, "no head is given"),
        ({"labels": 0}, "labels=0 trains no head"),
        ({"training": {"steps": 0}}, "steps=0 trains no head"),
        (
            {"task": TOA, "head": TOA_HEAD, "krige": True},
            "krige moves places of single links, ToaHead gives none",
        ),
        ({"labels": 5000}, "labels=5000, but split random"),
        ({"from": str(tmp_path)}, "is neither a finished run"),
    ):
        with pytest.raises(ValueError, match=message):
            run(recipe(**changes), tmp_path / message.split()[1])


def test_a_run_begun_before_a_key_was_there_is_gone_on_with(tmp_path, recipe):
    begin(RunFolder(tmp_path / "run"), recipe())
    written = tmp_path / "run" / RECIPE
    older = json.loads(written.read_text())
    del older["krige"]
    del older["training"]["decoupled"]
    written.write_text(json.dumps(older))
    expect_run(tmp_path / "run", recipe(), resume=True)
    coupled = recipe(training={"steps": 80, "decoupled": False})
    with pytest.raises(ValueError, match="was begun with another training"):
        expect_run(tmp_path / "run", coupled, resume=True)
    with pytest.raises(ValueError, match="was begun with another krige"):
        expect_run(tmp_path / "run", recipe(krige=True), resume=True)


def test_simulated_supervision_places_users_without_a_label(tmp_path, store, recipe):
    from radiofix.training.recipe import PretrainRecipe

    head = {"class_path": "radiofix.models.frame.FrameHead", "init_args": {"dim": 32}}
    simulated = {"head": head, "antennas": 8, "subcarriers": 16}
    content = {
        "encoder": ENCODER,
        "objectives": {
            "simulated": {
                "class_path": "radiofix.objectives.simulated.Simulated",
                "init_args": simulated,
            }
        },
        "weights": {"simulated": 1},
        "receiver": {"bandwidths": [10e6], "antennas": 8, "subcarriers": 16},
        "store": str(store),
        "split": "random",
        "training": {"steps": 2, "batch": 8},
    }
    run(read_recipe(PretrainRecipe, content, "test"), tmp_path / "pretrained", pretrain)
    start = {"from": str(tmp_path / "pretrained"), "encoder": None, "head": None}
    run(recipe(**start, labels=0), tmp_path / "none")
    before = load_file(tmp_path / "pretrained" / "model.safetensors")
    after = load_file(tmp_path / "none" / "model.safetensors")
    own = "mixture.objectives.simulated.head."
    heads = {n.removeprefix(own): t for n, t in before.items() if n.startswith(own)}
    assert "output.weight" in heads
    for name, tensor in heads.items():
        assert torch.equal(tensor, after[f"localizer.head.{name}"]), name
    told = evaluate(tmp_path / "none", open_paths(store))
    untouched = held_out(recipe(**start), None, 1000)
    assert untouched.errors.mean().item() == pytest.approx(told["mean"], rel=1e-6)
    assert len(untouched.errors) == told["answers"]
    assert 0 <= untouched.honesty["held_at_90"] <= 1
    # What is known of positions serves times and angles of arrival, and goes on learning them.
    for asked in ("Toa", "Aoa"):
        other = {
            "task": {"class_path": f"radiofix.objectives.tasks.{asked}Task"},
            "head": {
                "class_path": f"radiofix.models.heads.Implied{asked}Head",
                "init_args": {"estimator": head},
            },
        }
        by_place = held_out(recipe(**{**start, **other}), None, 1000).errors.mean().item()
        assert by_place == pytest.approx(told["implied"][f"{asked.lower()}_mean"], rel=1e-6)
        untrained = run(recipe(**{**start, **other}, labels=0), tmp_path / asked)
        assert untrained.progress.step == 0
    # Labels may serve at once, without a step of training.
    closed = run(recipe(**start, labels=30, krige=True, training={"steps": 0}), tmp_path / "closed")
    module, _ = finetuned(tmp_path / "closed")
    assert closed.progress.step == 0
    assert module.localizer.kriging.fitted
    for name, tensor in heads.items():
        assert torch.equal(tensor, module.localizer.head.state_dict()[name]), name
    assert closed.figures["validation_mean"] < 0.8 * told["mean"]
    moved = evaluate(tmp_path / "closed", open_paths(store))
    assert moved["mean"] < told["mean"]
    links = part_links(recipe(**start), open_paths(store), module.task, "test", 20, "cpu")
    ours = module.localizer.fix(links[0][0])
    assert torch.equal(load(tmp_path / "closed").fix(links[0][0]).position, ours.position)
    with pytest.raises(ValueError, match="labels=5000, but split random"):
        run(recipe(**start, labels=5000, training={"steps": 0}), tmp_path / "few")
    assert not (tmp_path / "few").exists()
    with pytest.raises(ValueError, match="krige=True has nothing to go by with labels=0"):
        recipe(**start, labels=0, krige=True)
    tuned = run(recipe(**start, training={"steps": 4}), tmp_path / "some")
    assert tuned.progress.step == 4
    assert finetuned(tmp_path / "some")[1].head == Part(**head)
    # Steps that only do harm are not taken: what the head could before counts as well.
    harm = {"steps": 4, "rate": 3.0, "divergence": 1e9}
    wrecked = run(recipe(**start, training=harm), tmp_path / "wrecked")
    assert wrecked.progress.best_step == 0
    kept = load_file(tmp_path / "wrecked" / "model.safetensors")
    for name, tensor in heads.items():
        if name != "height":
            assert torch.equal(tensor, kept[f"localizer.head.{name}"]), name


def test_a_run_ends_with_a_blend_where_validation_prefers_it(tmp_path, recipe, monkeypatch):
    run(recipe(training={"steps": 2}), tmp_path / "first")
    start = {"from": str(tmp_path / "first"), "encoder": None, "head": None}
    known = load_file(tmp_path / "first" / "model.safetensors")
    seen = []

    def halfway(module, before, after, shares, judge):
        seen.append((after, before, shares))
        worth = -1.0 if len(seen) == 1 else 1e9
        return blends(module, before, after, (0.5,), lambda tried: {"mean": worth})

    monkeypatch.setattr("radiofix.training.finetune.blends", halfway)
    low_rank = {"class_path": "radiofix.training.adaptation.LowRank"}
    again = recipe(**start, training={"steps": 3, "rate": 0.01}, adaptation=low_rank)
    outcome = run(again, tmp_path / "second")
    assert outcome.figures["blend"] == 0.5
    assert outcome.figures["validation_mean"] == -1
    (learnt, before, shares), kept = seen[0], load_file(tmp_path / "second" / "model.safetensors")
    assert shares == (0.25, 0.5, 0.75)
    assert set(learnt) == set(before)
    moved = 0
    for name, value in before.items():
        assert torch.equal(value, known[name]), name
        assert torch.equal(kept[name], torch.lerp(value, learnt[name], 0.5)), name
        moved += not torch.equal(value, learnt[name])
    assert moved > 4
    # Where it is worse than the best step, that is kept; from scratch nothing is asked.
    other = run(again, tmp_path / "third")
    assert "blend" not in other.figures
    assert other.figures["validation_mean"] < 1e9
    run(recipe(training={"steps": 2}), tmp_path / "scratch")
    run(recipe(**start, training={"steps": 2}, blend=[]), tmp_path / "none")
    run(recipe(**start, training={"steps": 2, "keep": "last"}), tmp_path / "last")
    assert len(seen) == 2


def test_stations_of_the_labels_become_known_to_an_encoder_that_remembers(tmp_path, store, recipe):
    size = {"dim": 32, "layers": 1, "heads": 4, "patch_antennas": 4, "patch_subcarriers": 4}
    encoder = {
        "class_path": "radiofix.models.radiofix.RadiofixEncoder",
        "init_args": {**size, "known_stations": 5},
    }
    run(recipe(encoder=encoder, training={"steps": 2}), tmp_path / "told")
    kept = load_file(tmp_path / "told" / "model.safetensors")
    met = kept["localizer.encoder.memory.station"][:, :3]
    places = open_paths(store).dataset["station_position"].values
    assert met[~met.isnan().any(-1)].tolist() == sorted(places.tolist())


def test_a_pretrained_head_is_taken_by_a_recipe_that_asks_for_its_class(tmp_path, recipe):
    frame = Part("radiofix.models.frame.FrameHead", {"dim": 32})
    start = Start(nn.Identity(), Part("radiofix.models.lwlm.LwlmEncoder"), nn.Linear(1, 1), frame)
    assert start.has_head(None)
    assert start.has_head(Part(frame.class_path))
    assert not start.has_head(recipe().head)
    assert start.completed(recipe()).head == recipe().head
    assert start.completed(recipe(head=None)).head == frame
    assert not Start(nn.Identity(), frame).has_head(None)


def test_positions_imply_times_and_angles_of_arrival_of_those_in_sight(tmp_path, store, recipe):
    asked = recipe(stations=["west"])
    run(asked, tmp_path / "run")
    module = finetuned(tmp_path / "run")[0]
    links = part_links(asked, open_paths(store), module.task, "test", 1000, "cpu")
    away, off = [], []
    for sounding, truth in links:
        told = module.localizer(sounding).position.detach().numpy()[truth.line_of_sight]
        true = truth.position.numpy()[truth.line_of_sight]
        station = np.array([0.0, 0.0, 6.0])
        lengths = [np.linalg.norm(place - station, axis=1) for place in (told, true)]
        away.append(np.abs(lengths[0] - lengths[1]))
        turns = [np.arctan2(place[:, 1], place[:, 0]) for place in (told, true)]
        off.append(np.abs(np.angle(np.exp(1j * (turns[0] - turns[1])), deg=True)))
    found = implied(module, links)
    assert found["toa_mean"] == pytest.approx(np.concatenate(away).mean(), rel=1e-5)
    assert found["aoa_p90"] == pytest.approx(np.quantile(np.concatenate(off), 0.9), rel=1e-5)


def test_a_fusion_takes_its_stations_estimator_from_a_pretrained_head(recipe):
    frame = {"class_path": "radiofix.models.frame.FrameHead", "init_args": {"dim": 32}}
    fusion = Part("radiofix.models.heads.FusionHead", {"estimator": frame})
    encoder = Part(**ENCODER)
    start = Start(encoder.build(), encoder, Part(**frame).build(), Part(**frame))
    head = build_localizer(recipe(head=fusion), start).localizer.head
    for name, tensor in start.head.state_dict().items():
        assert torch.equal(head.estimator.state_dict()[name], tensor), name
    other = recipe(
        head=Part(
            "radiofix.models.heads.FusionHead",
            {
                "estimator": {
                    "class_path": "radiofix.models.heads.PositionHead",
                    "init_args": {"dim": 32},
                }
            },
        )
    )
    assert not hasattr(build_localizer(other, start).localizer.head.estimator, "hidden")


def test_among_keeps_users_that_see_no_station(store, recipe):
    hidden = recipe(among={"class_path": "radiofix.training.users.WithoutSight"}, stations=["west"])
    opened = open_paths(store)
    interactions = opened.dataset["interactions"].values[:, 0]
    there, sight = (interactions >= 0).any(-1), (interactions == 0).any(-1)
    rows = opened.split("random", "validation")
    links = part_links(hidden, opened, hidden.task.build(), "validation", 1000, "cpu")
    users = [int(user) for sounding, _ in links for user in sounding.user]
    assert users == rows[(there & ~sight)[rows]].tolist()
    assert len(users) > 0


def test_fixes_of_a_finished_run_are_calibrated(tmp_path, store, recipe):
    run(recipe(training={"steps": 5}), tmp_path / "run")
    told = evaluate(tmp_path / "run", open_paths(store), part="validation")
    assert told["held_at_90"] == pytest.approx(0.9, abs=0.11)  # of ten users
    assert told["trusted"] >= 0.89
    calibration = finetuned(tmp_path / "run")[0].localizer.calibration
    assert calibration.stretch != 1
    assert calibration.threshold.isfinite()


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_run_ends_with_its_best_weights_or_its_last(tmp_path, recipe, keep):
    training = {"steps": 12, "validate_every": 3, "rate": 0.3, "keep": keep}
    outcome = run(recipe(training=training), tmp_path / "run")
    # A rate far too high: it gets worse again.
    assert (outcome.progress.best_step == 12) == (keep == "last")
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert list(outcome.figures)[-1].startswith("validation_")
    state = RunFolder(tmp_path / "run").load(f"{keep}.pt")["module"]
    name = "localizer.head.regressor.output.weight"
    assert torch.equal(kept[name], state[name])


def test_patience_has_nothing_to_wait_for_where_the_last_weights_are_kept(recipe):
    with pytest.raises(ValueError, match="patience=3 waits for a best"):
        recipe(training={"keep": "last", "patience": 3})
