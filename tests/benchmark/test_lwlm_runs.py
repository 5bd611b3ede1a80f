"""The runs of the protocols: each once, in any number of processes, and none stops another."""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from radiofix.benchmark.lwlm.limit import Limit, spacing
from radiofix.benchmark.lwlm.methods import methods
from radiofix.benchmark.lwlm.paper import LWLM
from radiofix.benchmark.lwlm.protocols import AGENDA, PROTOCOLS, STORES, named
from radiofix.benchmark.lwlm.scales import Pace
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.answers import ask
from radiofix.benchmark.runs.choosing import points_of
from radiofix.benchmark.runs.claims import claim, of_results
from radiofix.benchmark.runs.forecast import Forecast, plan
from radiofix.benchmark.runs.learned import chosen, held_out_links, labelled_users
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.outcomes import Outcome, Run
from radiofix.benchmark.runs.questions import POSITION, TOA
from radiofix.benchmark.runs.running import Bench, carry_out, perform, prepare
from radiofix.benchmark.runs.working import work
from radiofix.cli import main
from radiofix.data.splits import squares
from radiofix.data.store import open_paths
from radiofix.models.heads import Estimate
from radiofix.training.localizing import fingerprint

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
        del content["seconds"], content["memory"], content["made"]["machine"]
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


def test_what_another_bench_is_at_or_has_done_is_left_to_it(site):
    small = bench(site, ["kNN"], ["fig10a"])
    first, second = small.runs()
    method = chosen(methods(), ["kNN"])[0]
    with claim(site, of_results(site, first.file)) as mine:
        assert mine
        # Results in another folder are other work.
        elsewhere = replace(site, out=site.out.with_name("others"))
        assert perform(elsewhere, method, second).split(": ")[1].endswith(" s")
        assert of_results(elsewhere, first.file) != of_results(site, first.file)
        # A second claim of one process, as of two, is refused.
        assert perform(site, method, first).endswith("another bench is at it")
        assert not (site.out / first.file).exists()
    assert "m in" in perform(site, method, first)
    before = (site.out / first.file).stat().st_mtime_ns
    assert perform(site, method, first).endswith("another bench has done it")
    assert (site.out / first.file).stat().st_mtime_ns == before
    assert small.left(small.runs()) == (second,)


@dataclass
class Slow:
    """A preparation that counts how often it is made."""

    name: str = "slow"
    made: int = 0
    done: bool = False

    def ready(self, site):
        return self.done

    def make(self, site):
        self.made += 1
        self.done = True


def test_what_others_depend_on_is_waited_for_and_not_made_again(site):
    slow = Slow()
    (search, *_) = bench(site, ["kNN"], ["fig10a"]).runs()
    method = chosen(methods(), ["kNN"])[0]
    with ThreadPoolExecutor(2) as pool:
        with (
            claim(site, slow.name) as first,
            claim(site, of_results(site, search.file)) as second,
        ):
            assert first
            assert second
            waiting = [
                pool.submit(prepare, site, slow),
                pool.submit(perform, site, method, search, wait=True),
            ]
            time.sleep(0.3)
            assert not any(one.done() for one in waiting)
            slow.done = True
            outcomes.write(site.out, carry_out(site, method, search))
        told = [one.result(timeout=30) for one in waiting]
    assert slow.made == 0
    assert told[0].startswith("pretraining of slow: ")
    assert told[1].endswith("another bench has done it")


def test_a_claim_ends_with_its_process(site):
    script = (
        "import sys, time; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from radiofix.benchmark.runs.claims import claim\n"
        "with claim(N(work=Path(sys.argv[1]), scale=N(name='tiny')), 'x'):\n"
        "    print('mine', flush=True); time.sleep(60)"
    )
    here = replace(site, scale=replace(site.scale, name="tiny"))
    command = [sys.executable, "-c", script, str(site.work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "mine\n"
        with claim(here, "x") as mine:
            assert not mine
        other.kill()
        other.wait()
    with claim(here, "x") as mine:
        assert mine


def test_an_outcome_is_read_as_it_was_written(site):
    (run, *_) = bench(site, ["kNN"], ["fig9"]).runs()
    outcome = carry_out(site, chosen(methods(), ["kNN"])[0], run)
    outcomes.write(site.out, outcome)
    again = outcomes.read(site.out, run)
    assert again.run == run
    # Of the eight that are drawn one sees no station, and has no angle to learn from.
    assert again.labels == outcome.labels == len(labelled_users(run, site)) == 7
    for one, other in zip(again.tests, outcome.tests, strict=True):
        np.testing.assert_allclose(one.error, other.error, atol=1e-4)
        np.testing.assert_allclose(one.direction, other.direction, atol=1e-4)
        assert one.nearest_label == other.nearest_label > 0
    assert again.made["store"]["name"] == "town.zarr"


def test_an_outcome_that_was_written_anew_is_read_anew_though_the_clock_stood_still(site):
    (run, *_) = bench(site, ["kNN"], ["fig9"]).runs()
    for labels in (8, 9):
        place = outcomes.write(site.out, Outcome(run, labels, (), None, 1.0))
        os.utime(place, ns=(0, 0))
        assert outcomes.read(site.out, run).labels == labels


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
    # Nothing is left to do, so that nothing is said; but nothing more is put beside it.
    assert one.left(one.runs()) == ()
    assert bench(site, ["LWLM-DTI"], ["fig10a"]).missing() == {}
    more = bench(site, ["LWLM-DTI", "kNN"], ["fig10a", "fig8"])
    assert "began with other weights" in more.missing()["LWLM-DTI"]
    assert {run.method for run in more.left(more.runs())} == {"kNN"}
    # Also where none of the figures that are asked for has been answered.
    alone = bench(site, ["LWLM-DTI", "kNN"], ["fig8"])
    assert "began with other weights" in alone.missing()["LWLM-DTI"]
    assert {run.method for run in alone.left(alone.runs())} == {"kNN"}
    weights.unlink()
    more = bench(site, ["LWLM-DTI", "kNN"], ["fig10a", "fig8"])
    assert "began with weights that are not here" in more.missing()["LWLM-DTI"]
    assert more.pretrainings() == ()
    # All seeds begin with that one run: none of them has it made anew.
    seeds = replace(site, scale=replace(site.scale, seeds=(0, 1)))
    assert bench(seeds, ["LWLM-DTI"], ["fig10a"]).pretrainings() == ()


def test_of_self_supervision_the_encoder_alone_is_kept_and_gone_on_from(site):
    keeping = replace(site, keeps=True)
    one = bench(keeping, ["LWLM-DTI"], ["fig10a"])
    work(one, 1, lambda line: None)
    assert one.left(one.runs()) == ()
    weights = keeping.kept("LWLM-DTI") / "model.safetensors"
    held = load_file(weights)
    whole = load_file(site.work / "tiny" / "LWLM-DTI" / "model.safetensors")
    assert set(held) == {key for key in whole if key.startswith("encoder.")} < set(whole)
    (start,) = {o.start for o in outcomes.every(site.out)}
    assert start == fingerprint(str(keeping.kept("LWLM-DTI")))
    # What training begins with must be there, though.
    save_file({key: held[key] for key in sorted(held)[1:]}, weights)
    with pytest.raises(ValueError, match=r"does not fit its own recipe.*Missing key"):
        fingerprint(str(keeping.kept("LWLM-DTI")))


def test_other_rates_are_learnt_at_where_that_is_asked_for(site):
    choice = replace(site, scale=replace(TINY, rates=(1e-4, 1e-3), seeds=(0, 1)))
    asked = Bench(choice, chosen(methods(), ["kNN", "LWLM-Base"]), named(["fig10a"]))
    every = replace(asked, every_rate=True).runs()
    known = [run for run in every if run in asked.runs()]
    assert known == list(asked.runs())
    more = {(r.method, r.lesson.split, r.seed, r.rate) for r in every if r not in known}
    assert more == {("LWLM-Base", s, n, 1e-4) for s in ("region", "random") for n in (0, 1)}
    # The first seed of each before the second of any.
    assert [run.seed for run in every] == sorted(run.seed for run in every)


def test_results_of_another_trace_are_told_and_of_other_users_refused(site):
    small = bench(site, ["kNN"], ["fig10a"])
    work(small, 1, lambda line: None)
    assert small.traces == {}
    place = site.out / small.runs()[0].file
    content = json.loads(place.read_text())
    content["made"]["store"]["sha256"]["delay"] = "0" * 64
    place.write_text(json.dumps(content))
    assert bench(site, ["kNN"], ["fig10a"]).traces == {"o1": 1}
    content["made"]["store"]["sha256"]["user_position"] = "0" * 64
    place.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"kNN.*is of another store.*whose user_position"):
        _ = bench(site, ["kNN"], ["fig10a"]).traces


KILLED = """
import os, sys, time
from functools import partial
from pathlib import Path
from radiofix.benchmark.runs import working

def told(place):
    Path(place).write_text(str(os.getpid()))
    time.sleep(600)
    return "never"

if __name__ == "__main__":
    list(working._done([partial(told, f"{sys.argv[1]}/{n}") for n in range(2)], 2))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_a_bench_that_is_killed_leaves_nobody_behind(tmp_path):
    script = tmp_path / "bench.py"
    script.write_text(KILLED)
    bench = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    places = [tmp_path / "0", tmp_path / "1"]
    until(lambda: all(place.is_file() and place.read_text() for place in places))
    bench.kill()
    bench.wait()
    workers = [Path("/proc") / place.read_text() for place in places]
    until(lambda: not any(alive(worker) for worker in workers))


def alive(process):
    """Whether it is there and no corpse that nobody has fetched."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true, seconds=200):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


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

    def hears(self, lesson, test):
        return True

    def most(self, scale):
        return scale.test_users

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
            from radiofix.benchmark.runs.learned import Learned

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
    # Nothing is drawn for waves, but test users are: all methods are asked about the same.
    assert {run.method for run in runs if run.seed == 1} == {"kNN", "NOMP"}


def test_the_time_of_a_run_is_that_of_runs_alike():
    lesson, other = Lesson(POSITION, "random"), Lesson(TOA, "random")
    done = [Outcome(Run("a", lesson, n), 1, (), None, s) for n, s in enumerate((8.0, 10.0, 90.0))]
    done.append(Outcome(Run("a", other, 0), 1, (), None, 2.0))
    known = Forecast(TINY, (), AGENDA, done)
    assert known.seconds(Run("a", lesson, 5)) == 10.0
    assert known.seconds(Run("a", other, 5)) == 2.0
    # Of the method, none of this kind; and of none.
    assert known.seconds(Run("a", replace(lesson, stations=("3", "4")), 5)) == 9.0
    assert known.seconds(Run("b", lesson, 5)) == 9.0
    assert Forecast(TINY, (), AGENDA).seconds(Run("a", lesson, 5)) is None


def test_before_any_run_the_time_is_worked_out_from_what_was_measured():
    paced = replace(TINY, pace={"lookup": Pace(0.5, fix=0.01), "lwlm": Pace(1.0, 0.1, 0.001)})
    every = methods()
    known = Forecast(paced, every, AGENDA)
    lesson = Lesson(TOA, "region")
    assert known.seconds(Run("kNN", lesson, 0)) == pytest.approx(0.5 + 6 * 0.01)
    # Two steps of four links; six test links and a look at four validation users.
    run = Run("LWLM-Base", lesson, 0, 1e-3)
    assert known.seconds(run) == pytest.approx(1.0 + 8 * 0.1 + 10 * 0.001)
    slow = [Outcome(Run("kNN", lesson, 0), 8, (), None, 3 * 0.56)]
    assert Forecast(paced, every, AGENDA, slow).seconds(run) == pytest.approx(3 * 1.81)


def test_the_plan_has_pretraining_first_and_then_the_headline(site):
    paced = replace(TINY, pace={"lwlm": Pace(36.0, pretraining=18.0), "geometry": Pace(3.6)})
    one = bench(replace(site, scale=paced), ["LWLM", "NOMP"], ["fig8", "fig10a"])
    steps = plan(one, 2)
    assert [step.figure for step in steps] == ["before all", *["fig10a"] * 4, *["fig8"] * 4]
    assert steps[0].name == "pretraining of LWLM"
    assert [step.minutes for step in steps[:3]] == [0.6, 0.6, pytest.approx(0.06)]
    assert steps[-1].hours == pytest.approx((36 + 4 * 36 + 4 * 3.6) / 2 / 3600)
    nomp = chosen(methods(), ["NOMP"])[0]
    outcomes.write(site.out, carry_out(site, nomp, one.runs()[1]))
    assert len(plan(one, 2)) == len(steps) - 1


def test_every_figure_of_smoke_runs_by_itself_and_its_results_make_a_page(tmp_path, capsys):
    out, asked = tmp_path / "results", ["radiofix-nano", "LWLM", "kNN", "OMP", "limit"]
    command = ["bench", "lwlm", "--scale", "smoke", "--out", str(out)]
    command += ["--work", str(tmp_path / "work"), "--processes", "2"]
    command += ["--methods", *asked]
    assert main([*command, "--recipes", str(tmp_path / "none"), "--plan"]) == 2
    assert "none is no folder: leave it out for the package's own" in capsys.readouterr().err
    assert main([*command, "--plan"]) == 0
    assert "pretraining of LWLM" in capsys.readouterr().out
    assert not out.exists()
    begun = time.monotonic()
    assert main(command) == 0
    assert time.monotonic() - begun < 180
    done = tuple(outcomes.every(out))
    assert {o.run.lesson.users.store for o in done} == set(STORES)
    assert {o.run.method for o in done} == set(asked)
    assert main([*command, "--only", "fig11b-twelve"]) == 0
    assert re.search(r"^0 of \d+ runs are left", capsys.readouterr().err, re.M)
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "The figures of the LWLM paper" in page
    assert page.count('src="data:image/png;base64,') == len(PROTOCOLS)


def test_one_split_may_be_asked_for_alone(town, tmp_path, capsys):
    command = ["bench", "lwlm", "--plan", "--json", "--scale", "laptop", "--only", "fig10a"]
    command += ["--methods", "NOMP", "--store", str(town), "--out", str(tmp_path)]
    told = []
    for more in ([], ["--splits", "region"]):
        assert main([*command, *more]) == 0
        told.append({s["name"] for s in json.loads(capsys.readouterr().out)["steps"]})
    both, region = told
    assert region == {name for name in both if "-region-" in name}
    assert {"-random-" in name for name in both - region} == {True}


def test_a_scale_may_run_the_ends_of_an_axis_alone():
    thin = replace(TINY, splits=("region",), points=2)
    (snr,) = named(["snr"])
    assert [p.x for p in points_of(snr, thin, ["o1"])] == [0.0, 30.0]
    assert [p.x for p in points_of(snr, TINY, ["o1"])] == [0.0, 10.0, 20.0, 30.0]
    (walls,) = named(["walls"])
    assert [p.x for p in points_of(walls, thin, ["o1"])] == [2.5]


def test_the_limit_puts_users_of_the_grid_where_they_are_and_a_survey_beside(site, town):
    run = Run("limit", Lesson(POSITION, "region", 0, snr_db=20.0), 0)
    few = replace(site, scale=replace(TINY, grid_spacing=10.0, limit_users=3))
    # The miniature's users stand metres apart: at 20 dB none is taken for another,
    (tested,) = carry_out(few, Limit(), run).tests
    assert len(tested.error) == 3
    assert tested.error.max() < 1e-3
    # and without its own place each is put at one of the others.
    (tested,) = carry_out(few, Limit("survey", own=False), run).tests
    position = open_paths(town).dataset["user_position"].values[:, :2]
    apart = np.linalg.norm(position[:, None] - position, axis=-1)
    assert tested.error.min() >= apart[apart > 0].min() - 1e-6
    assert all(np.abs(apart - error).min() < 1e-3 for error in tested.error)
    noisy = replace(run, lesson=replace(run.lesson, snr_db=-45.0))
    links = held_out_links(noisy, Trial(), few, "test", 3)
    blurred = ask(Limit().learn(noisy, few).answer, POSITION.make_task(), links, together=False)
    assert blurred.error.min() > 1e-3
    assert not any(np.abs(apart - error).min() < 1e-3 for error in blurred.error)


def test_the_limit_is_left_to_noise_without_faults_and_to_dense_stores(site, town):
    noisy = Lesson(POSITION, "region", snr_db=10.0)
    assert Limit().lesson(noisy) == replace(noisy, labels=0)
    for other in (
        Lesson(POSITION, "region"),
        replace(noisy, clock=1e-8),
        replace(noisy, pilots=(1, 2)),
        replace(noisy, question=TOA),
    ):
        assert Limit().lesson(other) is None
    assert spacing(open_paths(town)) == pytest.approx(4.0, abs=1.1)
    assert "0.25 m at most make a grid" in Limit().lacks(site)


def test_answers_are_kept_with_the_squares_of_their_users(site, town):
    position = open_paths(town).dataset["user_position"].values
    one = bench(site, ["NOMP"], ["fig10a", "fig11a"])
    work(one, 1, lambda line: None)
    for outcome in outcomes.every(site.out):
        (tested,) = (t for t in outcome.tests if t.test.stations == outcome.run.lesson.stations)
        links = held_out_links(outcome.run, tested.test, site, "test")
        users = np.unique(torch.cat([sounding.user for sounding, _ in links]).numpy())
        assert list(tested.square) == list(squares(position)[users])
        assert len(tested.square) == len(tested.error)


def test_a_fingerprint_is_not_asked_of_a_station_that_it_never_heard(site):
    one = bench(site, ["kNN", "NOMP"], ["unseen"])
    work(one, 1, lambda line: None)
    assert one.left(one.runs()) == ()
    heard = {o.run.method: [t.test.stations for t in o.tests] for o in outcomes.every(site.out)}
    assert heard["NOMP"] == [("3",), ("4",), ("9",), ("10",)]
    assert heard["kNN"] == [("4",), ("9",), ("10",)]


def test_users_out_of_sight_need_the_cross_street(site):
    only = bench(site, ["NOMP"], ["hidden"])
    assert only.runs() == ()
    stores = {**site.stores, "cross": site.stores["o1"]}
    crossed = replace(site, stores=stores, scale=replace(TINY, test_users=20))
    run = bench(crossed, ["NOMP"], ["hidden"]).runs()[-1]
    run = replace(run, lesson=replace(run.lesson, split="random"))
    # Of the miniature's test users, one hears station 9 round the tower alone.
    ((sounding, truth),) = held_out_links(run, Trial(("9",)), crossed, "test")
    assert len(sounding) == 1
    assert not truth.line_of_sight.any()
