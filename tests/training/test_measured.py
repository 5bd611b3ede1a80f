"""Measured CSI is learnt from as it is: what is drawn, what is left out, what a run makes of it."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from radiofix.data.store import open_paths
from radiofix.models.pretrained import load
from radiofix.objectives.tasks import AoaTask, PositionTask, ToaTask
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.ofdm import Pilots
from radiofix.training.batches import LabelledBatches, PretrainBatches, Receiver
from radiofix.training.checkpoints import RunFolder
from radiofix.training.evaluate import evaluate, held_out, part_links
from radiofix.training.finetune import finetune
from radiofix.training.localizing import finetuned
from radiofix.training.measured import MeasuredPool
from radiofix.training.pool import HeldPool, hold, open_pool
from radiofix.training.pretrain import pretrain
from radiofix.training.recipe import FinetuneRecipe, read_recipe
from radiofix.training.users import WithoutSight
from radiofix.training.witnesses import Witnesses
from radiofix.types import Sounding

from .recorded import record

RECEIVER = Receiver(bandwidths=(20e6,), antennas=8, subcarriers=16)
CHANNEL = Channel(20e6, 16, ula(8))
FAULTS = Impairments(
    user_timing=2e-8,
    station_timing=1e-8,
    common_phase=True,
    antenna_phase=0.3,
    antenna_gain=1.0,
    station_seed=4,
)
EVERYONE = np.arange(60)


@pytest.fixture(scope="module")
def measured(store, tmp_path_factory):
    return record(store, tmp_path_factory.mktemp("measured") / "heard.zarr", CHANNEL)


@pytest.fixture(scope="module")
def pools(store, measured):
    """The same links, of paths and as measured."""
    return tuple(hold(open_paths(path), EVERYONE, [0, 1]) for path in (store, measured))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def expect_alike(ours, theirs, tolerance=1e-6):
    """That two soundings are equal to single precision, each link by its own power."""
    assert len(ours) == len(theirs) > 0
    power = theirs.csi.abs().amax((1, 2), keepdim=True)
    assert ((ours.csi - theirs.csi).abs() <= tolerance * power).all()
    for name in {f.name for f in fields(Sounding)} - {"csi"}:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == other.dtype, name
        assert torch.allclose(mine, other, rtol=1e-6, atol=1e-6), name


def test_measured_links_are_drawn_as_those_of_the_paths_that_they_came_by(pools):
    traced, heard = (LabelledBatches(pool, RECEIVER, 7, 1) for pool in pools)
    assert isinstance(heard.pool, MeasuredPool)
    assert torch.equal(traced.pool.reachable, heard.pool.reachable)
    assert not bool(heard.pool.reachable.all())
    generators = seeded(), seeded()
    for _ in range(12):
        theirs, ours = (b.draw(g) for b, g in zip((traced, heard), generators, strict=True))
        expect_alike(ours[0], theirs[0])
        assert torch.equal(ours[1].position, theirs[1].position)
        assert not ours[1].line_of_sight.any()
    for theirs, ours in zip(traced.all(seeded()), heard.all(seeded()), strict=True):
        expect_alike(ours[0], theirs[0])


@pytest.mark.parametrize(
    "asked",
    [
        {"impairments": FAULTS},
        {"snr_db": 10.0},
        {"snr_db": (0.0, 30.0), "impairments": Impairments(common_phase=True)},
        {"pilots": Pilots(every_subcarrier=2, every_antenna=4)},
    ],
)
def test_faults_noise_and_pilots_on_top_are_those_of_a_receiver_of_paths(pools, asked):
    receiver = replace(RECEIVER, **asked)
    theirs, ours = (LabelledBatches(pool, receiver, 9).draw(seeded(5))[0] for pool in pools)
    expect_alike(ours, theirs, 1e-5)
    plain = LabelledBatches(pools[1], RECEIVER, 9).draw(seeded(5))[0]
    assert (ours.csi - plain.csi).abs().max() > 0.01 * plain.csi.abs().max()


def test_who_is_judged_is_heard_as_measured_with_nothing_on_top(measured, pools):
    noisy = replace(RECEIVER, snr_db=0.0, impairments=FAULTS)
    stored = open_paths(measured).dataset["csi"].values
    links = 0
    for sounding, _ in LabelledBatches(pools[1], noisy, 16).all(seeded()):
        assert np.array_equal(sounding.csi.numpy(), stored[sounding.user, sounding.station])
        links += len(sounding)
    assert links == int(pools[1].reachable.sum())


def test_what_was_not_observed_stays_zero_under_noise_whose_power_is_of_the_rest(store, tmp_path):
    def comb(csi):
        csi[..., 1::2] = 0
        return csi

    combed = record(store, tmp_path / "comb.zarr", CHANNEL, comb)
    receiver = replace(RECEIVER, snr_db=10.0)
    pool = hold(open_paths(combed), EVERYONE, [0, 1])
    batches = LabelledBatches(pool, receiver, len(pool.reachable))
    (noisy, _), (plain, _) = batches.draw(seeded(1)), batches.all(seeded())[0]
    order = np.lexsort((noisy.station, noisy.user))
    noise = noisy.csi[order] - plain.csi
    assert (noisy.csi[..., 1::2] == 0).all()
    ratio = plain.csi.abs().square().sum((1, 2)) / noise.abs().square().sum((1, 2))
    # 64 entries a link: each ratio is off by an eighth or so, their mean by little.
    assert 10 * ratio.log10().mean().item() == pytest.approx(10, abs=0.3)


def test_users_without_a_place_and_links_without_csi_are_left_out(store, tmp_path, recipe):
    traced = open_paths(store)
    train, test = traced.split("random", "train"), traced.split("random", "test")
    nowhere = np.concatenate([train[:12], test[:15]])

    def silence(csi):
        csi[train[12], 0] = np.nan
        csi[train[13]] = 0
        csi[test[15]] = np.nan
        csi[test[16], 1, 3, 4] = np.nan
        return csi

    def forget(position):
        position[nowhere] = np.nan
        return position

    path = record(store, tmp_path / "some.zarr", CHANNEL, silence, forget)
    some = open_paths(path)
    reached = (traced.dataset["interactions"].values >= 0).any(-1)
    heard = reached.copy()
    heard[train[12], 0] = heard[test[16], 1] = False
    heard[[train[13], test[15]]] = False
    everyone = hold(some, EVERYONE, [0, 1])
    assert everyone.reachable.sum() == heard.sum() < reached.sum()
    # Of 30 training users 18 have a place, of 20 test users 5; one of each was never heard.
    asked = recipe(store=str(path), labels=18, training={"steps": 1})
    with pytest.raises(ValueError, match=r"labels=19.*has 18 labelled users"):
        run(recipe(store=str(path), labels=19), tmp_path / "more")
    run(asked, tmp_path / "run")
    told = evaluate(tmp_path / "run", some)
    assert told["answers"] == heard[test[15:]].sum()
    judged = part_links(asked, some, PositionTask(), "test", 60, "cpu")
    found = {int(user) for sounding, _ in judged for user in sounding.user}
    assert found == set(test[15:][heard[test[15:]].any(1)])
    assert np.isfinite([told["mean"], told["p90"], told["held_at_90"]]).all()
    # Without labels they count: nobody asks where they were.
    assert set(nowhere[heard[nowhere].any(1)]) < set(users_of(everyone).tolist())


@pytest.fixture
def recipe(measured):
    def changed(**others):
        training = {"steps": 60, "batch": 10, "rate": 1e-2, "validate_every": 20}
        size = {"dim": 32, "layers": 1, "heads": 4, "patch_antennas": 4, "patch_subcarriers": 4}
        content = {
            "encoder": {
                "class_path": "radiofix.models.radiofix.RadiofixEncoder",
                "init_args": size,
            },
            "head": {"class_path": "radiofix.models.frame.FrameHead"},
            "task": {"class_path": "radiofix.objectives.tasks.PositionTask"},
            # Of no band and no array that the CSI has: those are not asked for.
            "receiver": {"bandwidths": [5e6, 10e6], "antennas": 32, "subcarriers": 128},
            "store": str(measured),
            "split": "random",
            "labels": 30,
            "training": {**training, **others.pop("training", {})},
            **others,
        }
        return read_recipe(FinetuneRecipe, content, "test")

    return changed


def run(recipe, folder, work=finetune):
    return work(Fabric(accelerator="cpu", devices=1), recipe, RunFolder(folder))


def test_a_run_learns_from_measured_csi_what_it_learns_from_its_paths(
    tmp_path, store, measured, recipe
):
    first = run(recipe(training={"steps": 1, "rate": 1e-9}), tmp_path / "untrained")
    outcome = run(recipe(), tmp_path / "measured")
    assert outcome.figures["validation_mean"] < 0.7 * first.figures["validation_mean"]
    told = evaluate(tmp_path / "measured", open_paths(measured))
    untrained = evaluate(tmp_path / "untrained", open_paths(measured))
    assert told["mean"] < 0.8 * untrained["mean"]
    # Nobody knows who sees a station: times and angles of arrival cannot be judged.
    assert told["implied"] == {}
    again = evaluate(tmp_path / "measured", open_paths(measured), part="validation")
    assert again["mean"] == pytest.approx(outcome.figures["validation_mean"], rel=1e-5)
    receiver = {"bandwidths": [20e6], "antennas": 8, "subcarriers": 16}
    traced = run(recipe(store=str(store), receiver=receiver), tmp_path / "traced")
    assert outcome.figures["validation_mean"] == pytest.approx(
        traced.figures["validation_mean"], rel=0.02
    )
    crossed = evaluate(tmp_path / "traced", open_paths(measured))
    assert crossed["mean"] == pytest.approx(
        evaluate(tmp_path / "traced", open_paths(store))["mean"], rel=1e-4
    )


def test_what_comes_with_the_package_is_moved_by_labels_of_measured_csi(tmp_path, measured, recipe):
    start = {"from": "radiofix-nano", "encoder": None, "head": None}
    nothing = run(recipe(**start, labels=0), tmp_path / "none")
    untouched = held_out(recipe(**start), None, 60)
    told = evaluate(tmp_path / "none", open_paths(measured))
    assert untouched.errors.mean().item() == pytest.approx(told["mean"], rel=1e-5)
    moved = run(recipe(**start, krige=True, training={"steps": 0}), tmp_path / "moved")
    module, _ = finetuned(tmp_path / "moved")
    assert module.localizer.kriging.fitted
    assert moved.figures["validation_mean"] < nothing.figures["validation_mean"]
    # The shipped localizer answers what the run was judged by.
    links = part_links(recipe(), open_paths(measured), PositionTask(), "test", 60, "cpu")
    fixes = load(tmp_path / "moved").fix(links[0][0])
    assert torch.allclose(fixes.position, module.localizer.fix(links[0][0]).position)


def test_stations_are_fused_and_others_left_out(tmp_path, measured, recipe):
    store = open_paths(measured)
    fused = recipe(
        task={"class_path": "radiofix.objectives.tasks.FusedPositionTask"},
        head={
            "class_path": "radiofix.models.heads.FusionHead",
            "init_args": {
                "estimator": {
                    "class_path": "radiofix.models.frame.FrameHead",
                    "init_args": {"dim": 32},
                }
            },
        },
        fewest_stations=1,
        training={"steps": 3},
    )
    run(fused, tmp_path / "fused")
    heard = (store.dataset["csi"].values != 0).any((2, 3))[store.split("random", "test")]
    assert evaluate(tmp_path / "fused", store)["answers"] == heard.any(1).sum()
    run(recipe(stations=["east"], training={"steps": 1}), tmp_path / "east")
    assert evaluate(tmp_path / "east", store)["answers"] == heard[:, 1].sum()


def test_pairs_of_views_are_two_stations_of_a_measured_user(pools):
    traced, heard = (PretrainBatches(pool, RECEIVER, 9).draw(seeded(2)) for pool in pools)
    for name in ("first", "second", "widest"):
        expect_alike(getattr(heard, name), getattr(traced, name))
    two = pools[1].reachable.all(1)
    pairs = {u for u, b in zip(users_of(pools[1]).tolist(), two.tolist(), strict=True) if b}
    apart = (heard.first.station != heard.second.station).tolist()
    assert {u for u, a in zip(heard.first.user.tolist(), apart, strict=True) if a} == (
        pairs & set(heard.first.user.tolist())
    )
    assert any(apart)
    # It has one band, however many the recipe would draw from.
    several = replace(RECEIVER, bandwidths=(5e6, 10e6, 20e6))
    views = PretrainBatches(pools[1], several, 9).draw(seeded(2))
    assert torch.equal(views.first.csi, heard.first.csi)
    assert torch.equal(views.second.csi, heard.second.csi)


def users_of(pool):
    """Rows of a pool's users."""
    station = pool.reachable.int().argmax(-1)
    return pool.take(torch.arange(len(pool.reachable)), station).sounding.user


def test_an_encoder_is_pretrained_on_measured_csi_without_places(tmp_path, store, smoke):
    channel = Channel(10e6, 16, ula(8))
    unused = open_paths(store).split("random", "train")[:10]

    def forget(position):
        position[unused] = np.nan
        return position

    path = record(store, tmp_path / "heard.zarr", channel, position=forget)
    one_band = ("receiver.bandwidths=[10e6]", "receiver.antennas=8", "receiver.subcarriers=16")
    content = (*one_band, "training.steps=6", "training.validate_every=3", "split=random")
    figures = [
        run(smoke(*content, f"store={place}"), tmp_path / name, pretrain).figures
        for name, place in (("traced", store), ("measured", path))
    ]
    losses = [{k: v for k, v in f.items() if k.startswith("validation")} for f in figures]
    assert len(losses[0]) > 2
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_witnesses_place_users_of_measured_csi_as_those_of_paths(pools):
    places = [Witnesses(kept=1.0).places(pool, RECEIVER, 0) for pool in pools]
    assert torch.allclose(*places, atol=0.05, equal_nan=True)
    assert places[0].isfinite().any()


def test_what_measured_csi_cannot_tell_is_refused_in_one_line(measured, tmp_path, recipe):
    store = open_paths(measured)
    toa = {
        "task": {"class_path": "radiofix.objectives.tasks.ToaTask"},
        "head": {"class_path": "radiofix.models.heads.ToaHead"},
    }
    for call, message in (
        (lambda: hold(store, EVERYONE, [0], wanted=ToaTask().usable), "recipe for positions"),
        (lambda: hold(store, EVERYONE, [0], wanted=AoaTask().usable), "who sees a station"),
        (lambda: run(recipe(**toa), tmp_path / "toa"), "is measured CSI, which does not tell who"),
        (lambda: WithoutSight()(store, EVERYONE, [0]), "leave among out"),
        (
            lambda: open_pool(store, EVERYONE, [0, 1], budget=1e5),
            "takes 0.000123 GB, 0.0001 are",
        ),
        (lambda: HeldPool(store, EVERYONE, [0]), "no paths: give a traced store"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "toa").exists()
