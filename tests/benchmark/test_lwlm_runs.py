"""The runs of the protocols: each once, in any number of processes, and none stops another."""

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from radiofix.benchmark.lwlm import outcomes
from radiofix.benchmark.lwlm.learned import held_out_links
from radiofix.benchmark.lwlm.methods import chosen, methods
from radiofix.benchmark.lwlm.outcomes import Outcome, Run
from radiofix.benchmark.lwlm.paper import LWLM
from radiofix.benchmark.lwlm.protocols import (
    Lesson,
    Trial,
    named,
)
from radiofix.benchmark.lwlm.questions import POSITION, TOA
from radiofix.benchmark.lwlm.running import Bench, carry_out, perform, seconds_left
from radiofix.benchmark.lwlm.working import work
from radiofix.models.heads import Estimate

from .conftest import TINY


def bench(site, names, figures):
    return Bench(site, chosen(methods(), names), named(figures))


def plain(out):
    """All files of runs, without what differs from one time to the next."""
    found = {}
    for place in sorted((out / outcomes.RUNS).rglob("*.json")):
        content = json.loads(place.read_text())
        for tested in content["tests"]:
            del tested["milliseconds"]
        del content["seconds"], content["made"]["machine"]
        found[str(place.relative_to(out))] = content
    return found


def test_runs_are_done_once_and_those_that_are_gone_again(site):
    small = bench(site, ["kNN", "NOMP"], ["fig10a", "fig10b", "fig11b"])
    told = []
    work(small, 1, told.append)
    assert len(told) == len(small.runs()) == 10
    before = plain(site.out)
    assert len(before) == 10
    work(small, 1, told.append)
    assert len(told) == 10
    gone = site.out / small.runs()[3].file
    gone.unlink()
    assert small.left(small.runs()) == (small.runs()[3],)
    work(small, 1, told.append)
    assert len(told) == 11
    assert gone.name in told[-1]
    assert plain(site.out) == before


def test_an_outcome_is_read_as_it_was_written(site):
    (run, *_) = bench(site, ["kNN"], ["fig9"]).runs()
    outcome = carry_out(site, chosen(methods(), ["kNN"])[0], run)
    outcomes.write(site.out, outcome)
    again = outcomes.read(site.out, run)
    assert again.run == run
    assert again.labels == 8
    for one, other in zip(again.tests, outcome.tests, strict=True):
        np.testing.assert_allclose(one.error, other.error, atol=1e-4)
        np.testing.assert_allclose(one.direction, other.direction, atol=1e-4)
        assert one.nearest_label == other.nearest_label > 0
    assert again.made["store"]["name"] == "town.zarr"


def test_two_processes_give_the_files_of_one(site, tmp_path):
    found = []
    for processes in (1, 2):
        there = replace(site, out=tmp_path / f"by{processes}")
        work(bench(there, ["LWLM-Base", "NOMP"], ["fig10a"]), processes, lambda line: None)
        found.append(plain(there.out))
    assert len(found[0]) == 4
    assert found[0].keys() == found[1].keys()
    # To rounding: a process of its own may have another number of threads.
    for name, one in found[0].items():
        texts, numbers = zip(*(told(x) for x in (one, found[1][name])), strict=True)
        assert texts[0] == texts[1]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-3, atol=1e-3)


def told(content):
    """What a result says in words and in numbers, each in order."""
    texts, numbers = [], []
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, dict | list):
            inside = told(value)
            texts, numbers = texts + inside[0], numbers + inside[1]
        elif isinstance(value, float):
            numbers.append(value)
        else:
            texts.append(value)
    return texts, numbers


def test_a_pretraining_run_is_made_once_and_its_checksum_kept(site):
    one = bench(site, ["LWLM-DTI"], ["fig10a"])
    assert [n.name for n in one.pretrainings()] == ["LWLM-DTI"]
    work(one, 1, lambda line: None)
    assert one.pretrainings() == ()
    recipe = json.loads((site.work / "tiny" / "LWLM-DTI" / "recipe.json").read_text())
    assert recipe["leave_out"] == {"random": ["validation", "test"]}
    (start,) = {o.start for o in outcomes.every(site.out)}
    assert start == one.methods[0].fingerprint(site)
    weights = site.work / "tiny" / "LWLM-DTI" / "model.safetensors"
    other = {name: tensor + 1 for name, tensor in load_file(weights).items()}
    save_file(other, weights)
    with pytest.raises(ValueError, match="began with other weights than LWLM-DTI has now"):
        one.left(one.runs())


@dataclass(frozen=True)
class Broken:
    """A method that dies of it."""

    name: str = "broken"
    family: str = "lookup"

    def lacks(self, site):
        return None

    def lesson(self, lesson):
        return lesson

    def seeds(self, seeds):
        return seeds

    def rates(self, rates):
        return (None,)

    def learn(self, run, site):
        raise RuntimeError("no more\nof /some/where/on/a/machine")


def test_a_run_that_fails_is_one_line_and_stops_nobody(site):
    told = []
    broken = Bench(site, (Broken(), *chosen(methods(), ["NOMP"])), named(["fig8"]))
    work(broken, 1, told.append)
    assert sum("failed" in line for line in told) == 2
    assert len(plain(site.out)) == 2
    lines = outcomes.failures(site.out)
    assert len(lines) == 2
    assert set(lines.values()) == {"RuntimeError: no more of machine"}
    assert {run.method for run in broken.left(broken.runs())} == {"broken"}
    (run, *_) = broken.left(broken.runs())
    good = carry_out(site, chosen(methods(), ["kNN"])[0], run)
    outcomes.write(site.out, good)
    assert len(outcomes.failures(site.out)) == 1


def test_answers_that_are_no_numbers_are_a_failure(site):
    class Silent(Broken):
        def learn(self, run, site):
            from radiofix.benchmark.lwlm.learned import Learned

            return Learned(lambda s: Estimate(torch.full((len(s), 3), torch.nan)))

    assert "no numbers" in perform(site, Silent(), Run("broken", Lesson(POSITION, "random"), 0))


def test_a_method_whose_recipe_is_missing_is_listed_and_left_out(site, tmp_path):
    bare = replace(site, recipes=tmp_path)
    found = Bench(bare, methods()).missing()
    assert re.match("no recipe lwlm/aoa.yaml, lwlm/base.yaml", found[LWLM])
    assert {"SWiT", "ResNet-34"} <= set(found)
    assert {run.method for run in Bench(bare, methods()).runs()} == {
        "kNN", "NOMP", "MUSIC", "OMP", "OMP-weighted",
    }  # fmt: skip


def test_the_rate_of_learning_is_the_one_that_validation_users_prefer(site):
    choice = replace(site, scale=replace(TINY, rates=(1e-4, 3e-4, 1e-3)))
    one = bench(choice, ["LWLM-Base"], ["fig8"])
    assert {run.rate for run in one.runs()} == {3e-4}
    for run, validation in zip(one.searches(), (5.0, 4.0, 3.0), strict=True):
        assert (run.lesson.labels, run.lesson.split) == (1_000, "region")
        outcomes.write(site.out, Outcome(run, 5, (), validation, 1.0))
    assert {run.rate for run in one.runs()} == {1e-3}


def test_the_first_seed_of_all_comes_before_the_second_of_any(site):
    seeded = replace(site, scale=replace(TINY, seeds=(0, 1)))
    runs = bench(seeded, ["kNN", "NOMP"], ["fig10a", "fig8"]).runs()
    seeds = [run.seed for run in runs]
    assert seeds == sorted(seeds)
    assert {run.method for run in runs if run.seed == 1} == {"kNN"}


def test_the_time_left_is_that_of_runs_alike():
    lesson, other = Lesson(POSITION, "random"), Lesson(TOA, "random")
    done = [Outcome(Run("a", lesson, n), 1, (), None, s) for n, s in enumerate((8.0, 10.0, 90.0))]
    done.append(Outcome(Run("a", other, 0), 1, (), None, 2.0))
    assert seconds_left(done, [Run("a", lesson, 5), Run("a", other, 5)], 1) == 12.0
    assert seconds_left(done, [Run("a", lesson, 5)] * 4, 2) == 20.0
    assert seconds_left(done, [Run("b", lesson, 5)], 1) == 9.0
    assert seconds_left([], [Run("a", lesson, 5)], 1) is None


def test_users_out_of_sight_need_the_cross_street(site):
    only = bench(site, ["NOMP"], ["hidden"])
    assert only.runs() == ()
    stores = {**site.stores, "cross": site.stores["o1"]}
    crossed = replace(site, stores=stores, scale=replace(TINY, test_users=20))
    run = bench(crossed, ["NOMP"], ["hidden"]).runs()[-1]
    # Of the miniature's test users, one hears station 9 round the tower alone.
    ((sounding, truth),) = held_out_links(run, Trial(("9",)), crossed, "test")
    assert len(sounding) == 1
    assert not truth.line_of_sight.any()
