"""The protocol of "does pretraining pay?": what it chooses, what it keeps, what it tells."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import radiofix as rf
from radiofix.benchmark.pretraining import (
    Bench,
    Result,
    Run,
    best_rate,
    enough_steps,
    every,
    protocol,
)
from radiofix.benchmark.pretraining_table import compared, markdown, rows, settled
from radiofix.models.heads import FusionHead, ImpliedAoaHead, ImpliedToaHead
from radiofix.training.localizing import build_localizer, fingerprint
from training.conftest import store  # noqa: F401  # a fixture
from training.test_shipping import ENCODER, HEAD, RECEIVER, simulated  # noqa: F401  # a fixture


def answer(validation, errors=(1.0,)):
    """A protocol's `do` that answers with a formula and remembers what it was asked."""
    asked = []

    def do(run):
        asked.append(run)
        return Result(run, validation(run), tuple(errors), 1.0)

    return do, asked


def test_the_rate_is_the_one_with_the_lowest_validation_error():
    do, asked = answer(lambda run: abs(np.log10(run.rate) + 3))
    assert best_rate(do, "scratch", "region-clean") == 1e-3
    assert {run.labels for run in asked} == {1000}
    assert {run.rate for run in asked} == {1e-4, 3e-4, 1e-3, 3e-3}


@pytest.mark.parametrize("edge", [3e-5, 3e-3])
def test_the_search_for_a_rate_ends_at_the_end_of_the_ladder(edge):
    do, _ = answer(lambda run: abs(np.log10(run.rate / edge)))
    assert best_rate(do, "scratch", "region-clean") == edge


@pytest.mark.parametrize(("gain", "steps"), [(0.5, 19200), (0.985, 600)])
def test_steps_are_doubled_while_that_is_worth_two_percent(gain, steps):
    do, _ = answer(lambda run: gain ** np.log2(run.steps / 600))
    assert enough_steps(do, "region-clean", 1000, 1e-3) == steps


def test_steps_stop_at_the_smallest_whose_doubling_does_not_pay():
    errors = {600: 10.0, 1200: 8.0, 2400: 7.9, 4800: 1.0}
    do, _ = answer(lambda run: errors[run.steps])
    assert enough_steps(do, "region-clean", 1000, 1e-3) == 1200


def test_few_labels_train_for_as_many_steps_as_a_thousand():
    do, asked = answer(lambda run: {600: 10.0, 1200: 8.0, 2400: 7.9}[run.steps])
    assert enough_steps(do, "region-clean", 250, 1e-3) == 1200
    assert {run.labels for run in asked} == {1000}


def test_all_methods_get_the_same_steps_and_seeds():
    do, _ = answer(lambda run: run.rate)
    results = protocol(do, ["ours"], "region-clean", 250)
    runs = [result.run for result in results]
    assert {run.steps for run in runs} == {600}
    for method in ("scratch", "ours"):
        assert [run.seed for run in runs if run.method == method] == [0, 1, 2]


def test_without_labels_only_pretrained_methods_are_asked():
    do, asked = answer(lambda run: run.rate)
    results = protocol(do, ["ours"], "random-clean", 0)
    assert [(r.run.method, r.run.steps) for r in results] == [("ours", 0)]
    assert not any(run.labels == 0 and run.method == "scratch" for run in asked)


def test_a_row_holds_all_seeds_and_its_interval_holds_the_mean():
    rng = np.random.default_rng(1)
    results = [
        Result(Run("c", "ours", 250, seed, 1e-3, 600), 1.0, tuple(rng.exponential(3, 400)), 1.0)
        for seed in range(3)
    ]
    (row,) = rows(results)
    every = np.concatenate([result.errors for result in results])
    assert row.mean == pytest.approx(every.mean())
    assert row.p90 == pytest.approx(np.quantile(every, 0.9))
    assert row.interval[0] < row.mean < row.interval[1]
    assert row.interval[1] - row.interval[0] < 1.0
    assert f"| {row.mean:.2f} m |" in markdown([row])


def test_mistakes_are_counted_apart_and_ellipses_where_they_were_looked_at():
    errors = (1.0, 2.0, 60.0, 3.0)
    run = Run("c", "ours", 250, 0, 1e-3, 600)
    looked = Result(
        run, 1.0, errors, 1.0, held=0.91, sure=0.8, far_though_sure=0.1, toa=0.4, aoa=0.25
    )
    before = Result(replace(run, seed=1), 1.0, errors, 1.0)
    (row,) = rows([looked, before])
    assert (row.far, row.held, row.toa, row.aoa) == (0.25, 0.91, 0.4, 0.25)
    assert rows([before])[0].held is None
    assert "| 25.00% | 91.0% | 80.0% | 10.00% | 0.40 | 0.25 |" in markdown([row])
    assert "| 25.00% |  |  |  |  |  |" in markdown(rows([before]))


def bench(tmp_path, store, run, **options):  # noqa: F811
    recipe = {
        "encoder": ENCODER,
        "head": HEAD,
        "task": {"class_path": "radiofix.objectives.tasks.PositionTask"},
        "receiver": RECEIVER,
        "stations": ["west"],
        "training": {"batch": 8},
    }
    stores = {"o1": str(store), "cross": str(store)}
    return Bench(recipe, stores, {"ours": str(run)}, tmp_path / "results", **options)


def test_a_run_is_done_once_and_kept_with_its_errors(tmp_path, store, simulated):  # noqa: F811
    paths = rf.open_paths(store)
    reached = paths.links(paths.split("random", "test"), 0).present.any(-1).nonzero()
    told = []
    first = bench(tmp_path, store, simulated, tell=lambda run, result: told.append(run))
    for method in ("scratch", "ours"):
        run = Run("random-clean", method, 12, 0, 1e-3, 4)
        result = first.do(run)
        assert len(result.errors) == len(reached)
        kept = json.loads((tmp_path / "results" / run.file).read_text())
        assert kept["run"] == {**kept["run"], "method": method, "labels": 12}
        assert first.do(run) == result
    assert len(told) == 2
    steps, means = zip(*result.curve, strict=True)
    assert steps == (0, 1, 2, 3, 4)
    assert min(means) == pytest.approx(result.validation)
    untouched = first.do(Run("random-clean", "ours", 0, 0, 1e-3, 0))
    assert untouched.validation == np.inf
    assert "Infinity" not in (tmp_path / "results" / untouched.run.file).read_text()
    assert first.do(untouched.run) == untouched
    assert 0 <= untouched.held <= 1
    assert 0 <= untouched.sure <= 1
    assert untouched.toa > 0
    assert untouched.aoa > 0
    kept = every(tmp_path / "results")
    assert [r.run.labels for r in kept] == [0, 12, 12]
    assert result in kept


def test_what_a_method_saves_is_of_the_same_users_and_as_sure_as_their_squares_are():
    rng = np.random.default_rng(4)
    square = np.repeat(np.arange(8), 50)

    def told(saved):
        runs = [("scratch", 5.0 + saved[square]), ("ours", np.full(400, 2.0))]
        results = [
            Result(
                Run("c", name, 250, 0, 1e-3, 600),
                1.0,
                tuple(rng.normal(error, 0.1)),
                1.0,
                square=tuple(square.tolist()),
            )
            for name, error in runs
        ]
        line = next(text for text in compared(results).splitlines() if "| ours |" in text)
        return [float(v) for v in re.findall(r"-?[0-9.]+", line.split("|")[-2])]

    mean, low, high = told(np.zeros(8))
    assert mean == pytest.approx(3.0, abs=0.05)
    assert high - low < 0.1
    # Where squares differ, four hundred users are eight.
    differing = rng.normal(0, 2.0, 8)
    mean, low, high = told(differing)
    assert mean == pytest.approx(3.0 + differing.mean(), abs=0.05)
    assert high - low == pytest.approx(2 * 2.365 * differing.std(ddof=1) / 8**0.5, rel=0.15)


def test_results_that_differ_by_more_than_their_seed_are_rows_of_their_own():
    runs = [Run("c", "ours", 250, seed, rate, 600) for rate in (1e-3, 1e-4) for seed in (0, 1)]
    table = rows([Result(run, 1.0, (1.0, 2.0), 1.0) for run in runs])
    assert [(row.rate, row.seeds) for row in table] == [(1e-3, 2), (1e-4, 2)]
    assert "| 2 | 0.0001 | 600 |" in markdown(table)


def test_methods_are_compared_by_the_setting_with_the_most_seeds_then_by_validation():
    def done(rate, seed, validation, error):
        return Result(Run("c", "ours", 250, seed, rate, 600), validation, (error,), 1.0)

    searched = [done(1e-3, 0, 0.5, 1.0), done(1e-4, 0, 3.0, 2.0), done(1e-5, 0, 2.0, 3.0)]
    (row,) = settled(rows(searched))
    assert row.rate == 1e-3
    (row,) = settled(rows([*searched, done(1e-4, 1, 5.0, 4.0), done(1e-5, 1, 2.5, 5.0)]))
    assert (row.rate, row.seeds, row.mean) == (1e-5, 2, 4.0)
    assert "| c | 250 | ours | 4.00 m |" in compared([*searched, done(1e-5, 1, 2.5, 5.0)])


def test_noise_pilots_and_users_out_of_sight_reach_the_recipe(tmp_path, store, simulated):  # noqa: F811
    made = bench(tmp_path, store, simulated)
    noisy = made._recipe(Run("region-noisy", "scratch", 5, 0, 1e-3, 10))
    assert noisy.receiver.snr_db == 10.0
    assert noisy.receiver.pilots.every_antenna == 3
    hidden = made._recipe(Run("region-hidden", "ours", 5, 0, 1e-3, 10))
    assert hidden.among.class_path.endswith("WithoutSight")
    assert hidden.pretrained == str(simulated)
    assert noisy.pretrained is None


@pytest.mark.parametrize(
    ("condition", "links"), [("region-toa", 1), ("region-aoa", 1), ("region-four", 4)]
)
def test_other_questions_are_asked_of_the_same_channels(
    tmp_path,
    store,  # noqa: F811
    simulated,  # noqa: F811
    condition,
    links,
):
    made = bench(tmp_path, store, simulated)
    recipe = made._recipe(Run(condition, "ours", 1000, 0, 1e-3, 10))
    module = build_localizer(recipe)
    head = {"region-toa": ImpliedToaHead, "region-aoa": ImpliedAoaHead, "region-four": FusionHead}[
        condition
    ]
    assert isinstance(module.localizer.head, head)
    assert module.task.unit == {"region-aoa": "degrees"}.get(condition, "m")
    assert len(recipe.stations) == links
    assert recipe.split == "region"


def test_degrees_are_not_called_metres_and_no_angle_is_a_mistake_of_fifty_metres():
    angles = [Result(Run("region-aoa", "ours", 1000, 0, 1e-4, 600), 1.0, (0.5, 90.0), 1.0)]
    (row,) = rows(angles)
    assert row.far is None
    assert "| 45.25 ° |" in markdown([row])


def test_a_result_of_other_weights_is_not_taken_for_this_ones(tmp_path, store, simulated):  # noqa: F811
    run = Run("random-clean", "ours", 12, 0, 1e-3, 2)
    first = bench(tmp_path, store, simulated).do(run)
    assert first.start == fingerprint(str(simulated)) == fingerprint(str(simulated / "localizer"))
    other = bench(tmp_path, store, "radiofix-nano")
    with pytest.raises(ValueError, match=r"ours-12.*began with other weights than radiofix-nano"):
        other.do(run)
    scratch = Run("random-clean", "scratch", 12, 0, 1e-3, 2)
    assert other.do(scratch).start is None
    assert bench(tmp_path, store, simulated).do(scratch).made["store"]["name"] == store.name


def test_a_method_can_begin_with_a_run_of_its_own_for_a_store(tmp_path, store, simulated):  # noqa: F811
    made = bench(tmp_path, store, simulated)
    made = replace(made, pretrained={"ours": "here", "ours@cross": "there"})
    starts = [
        made._recipe(Run(name, "ours", 5, 0, 1e-3, 10)).pretrained
        for name in ("region-clean", "region-hidden")
    ]
    assert starts == ["here", "there"]
