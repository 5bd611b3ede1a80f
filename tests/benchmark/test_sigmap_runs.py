"""The runs of the SigMap bench, and the page that comes of them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from radiofix.benchmark.contrasts import contrast
from radiofix.benchmark.figures import COLOURS
from radiofix.benchmark.pages import html, markdown
from radiofix.benchmark.report import gather
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.learned import chosen
from radiofix.benchmark.runs.lessons import Trial
from radiofix.benchmark.runs.outcomes import Outcome, Run, Tried
from radiofix.benchmark.runs.running import Bench
from radiofix.benchmark.runs.working import work
from radiofix.benchmark.sigmap.methods import methods
from radiofix.benchmark.sigmap.paper import (
    GRID,
    NO_MAP,
    SIGMAP,
    UNTOLD,
)
from radiofix.benchmark.sigmap.protocols import AGENDA, BY_NAME, RIGHT
from radiofix.benchmark.sigmap.scales import LAPTOP
from radiofix.benchmark.sigmap.subject import ABSOLUTE
from radiofix.cli import main
from radiofix.models.site_map import CarriedMap
from radiofix.pictures import evidence_view
from radiofix.training.localizing import pretrained

from .arms import first
from .conftest import RECIPES


def test_runs_are_done_once_and_shared_by_figures(place):
    names = ["kNN", "OMP", RIGHT, f"{RIGHT}-asked-other"]
    figures = AGENDA.named(["maps", "maps-munich", "table4"])
    bench = Bench(place, chosen(methods(), names), figures)
    said = []
    work(bench, 1, said.append)
    runs = bench.runs()
    # Without labels all but kNN; with labels kNN and the taught, OMP's being the same run.
    assert len(runs) == 3 + 2
    done = [line for line in said if ".json" in line]
    assert len(done) == len(runs)
    assert not outcomes.failures(place.out)
    assert bench.left(runs) == bench.pretrainings() == ()
    work(bench, 1, said.append)
    assert len([line for line in said if ".json" in line]) == len(runs)
    found = {
        (o.run.method, o.run.lesson.users.name, o.labels): o for o in outcomes.every(place.out)
    }
    right, wrong = (found[(n, "munich", 0)] for n in names[2:])
    assert right.start == wrong.start is not None
    assert not np.allclose(right.tests[0].error, wrong.tests[0].error)
    taught = found[(RIGHT, "munich", 6)]
    assert right.cost.learnt == 0
    assert taught.cost.learnt == taught.cost.parameters == right.cost.parameters
    # Results of before it was counted are still read.
    file = place.out / taught.run.file
    before = json.loads(file.read_text())
    del before["cost"]["learnt"]
    file.write_text(json.dumps(before))
    again = outcomes.read(place.out, taught.run)
    assert (again.cost.parameters, again.cost.learnt) == (taught.cost.parameters, None)


def test_what_is_begun_with_is_made_before_the_runs(place, tmp_path):
    fresh = replace(place, work=tmp_path / "work")
    begun = chosen(methods(), [NO_MAP, "cities-no-map"])
    bench = Bench(fresh, begun, AGENDA.named(["maps-munich", "table4-munich"]))
    stages = bench.stages()
    said = sorted(job() for job in next(stages))
    names = [f"backbone-{SIGMAP}-seed0", "cities-no-map-seed0"]
    assert [line.split(":")[0] for line in said] == [f"pretraining of {name}" for name in names]
    assert all(p.ready(fresh) for method in begun for p in method.preparations(0))
    assert next(stages) == ()
    assert len(next(stages)) == 2


def test_what_is_kept_beside_the_results_is_gone_on_from_elsewhere(place, tmp_path):
    first = replace(place, work=tmp_path / "work", out=tmp_path / "out", keeps=True)
    names = ["cities-no-map", RIGHT]
    figures = AGENDA.named(["maps-munich"])
    work(Bench(first, chosen(methods(), names), figures), 1, lambda _: None)
    elsewhere = replace(first, work=tmp_path / "elsewhere", keeps=False)
    again = Bench(elsewhere, chosen(methods(), [*names, f"{RIGHT}-asked-other"]), figures)
    assert again.pretrainings() == ()
    # The outcomes that are there began with what is kept: else they would be refused.
    assert [run.method for run in again.left(again.runs())] == [f"{RIGHT}-asked-other"]
    # Of other weights than are kept nothing is added; which seed's they are is told.
    (one,) = (run for run in again.runs() if run.method == RIGHT)
    as_done = (again.site.out / one.file).read_text()
    began = json.loads(as_done)["start"]
    (again.site.out / one.file).write_text(as_done.replace(began, "0" * 64))
    more = Bench(elsewhere, chosen(methods(), [RIGHT]), AGENDA.named(["table4-munich"]))
    ((name, why),) = more.missing().items()
    assert name == f"{RIGHT} after {RIGHT}-seed0"
    assert "began with other weights" in why
    (again.site.out / one.file).write_text(as_done)
    # Of what is kept the cities are not needed again; another seed's would be.
    without = replace(elsewhere, stores={k: v for k, v in place.stores.items() if k != "cities"})
    taught = chosen(methods(), names)
    assert Bench(without, taught, figures, seeds=(0,)).missing() == {}
    missing = Bench(without, taught, figures, seeds=(0, 1)).missing()
    assert missing == dict.fromkeys(names, "no store named cities is given")
    for name in ("cities-no-map-seed0", f"{RIGHT}-seed0"):
        whole, kept = (pretrained(str(p)) for p in (first.work / "smoke" / name, first.kept(name)))
        before, after = whole.encoder.state_dict(), kept.encoder.state_dict()
        learnt = {key for key, _ in whole.encoder.named_parameters()}
        assert all(torch.equal(after[key], before[key].half().float()) for key in learnt)
        assert any(not torch.equal(after[key], before[key]) for key in learnt)
    (map_of_many,), (no_map,) = (
        [part for part in start.head.modules() if isinstance(part, CarriedMap)]
        for start in (whole, kept)
    )
    assert not map_of_many.empty
    assert no_map.empty


@pytest.fixture
def results(tmp_path):
    """Two new cities at scale laptop, three methods, the second seed of one city missing."""
    out = tmp_path / "results"
    out.mkdir()
    asked = {
        "bench": "sigmap",
        "scale": "laptop",
        "pretrained": "radiofix-nano",
        "stores": {"munich": True, "etoile": True, "whole": True},
        "commands": ["radiofix bench sigmap --scale laptop"],
    }
    (out / "bench.json").write_text(json.dumps(asked))
    rate = LAPTOP.frozen_rates[1]
    rng = np.random.default_rng(0)
    for city, seeds in (("munich", (0, 1)), ("etoile", (0,))):
        for seed in seeds:
            lesson = first(f"maps-{city}")
            base = rng.uniform(4, 6, 200)
            for method, more in ((RIGHT, 0.0), ("cities-no-map", 2.0), ("cities-constant", 0.0)):
                jitter = rng.normal(0, 0.5, 200) if method == "cities-constant" else 0.0
                tried = Tried(Trial(()), base + more + jitter, 0.5, None)
                run = Run(method, lesson, seed, None)
                made = {"store": {"name": "x"}, "versions": {}, "machine": {}}
                outcomes.write(out, Outcome(run, 0, (tried,), 1.0, 1.0, None, None, made))
    for method, value in ((SIGMAP, 2.0), (NO_MAP, 3.0)):
        tried = Tried(Trial(("3",)), np.full(50, value), 0.5, 1.5)
        run = Run(method, replace(first("table1"), split="random"), 0, rate)
        made = {"store": {"name": "x"}, "versions": {}, "machine": {}}
        outcomes.write(out, Outcome(run, 10_000, (tried,), 1.0, 1.0, None, None, made))
    return out


def test_users_of_all_cities_count_together_where_a_seed_has_asked_in_all(results):
    figures = {figure.name: figure for figure in gather(results).figures}
    (right, *_) = [c for c in figures["maps"].cells if c.method == RIGHT]
    assert right.seeds == (0,)
    assert len(right.error) == 400
    (alone,) = [c for c in figures["maps-munich"].cells if c.method == RIGHT]
    assert alone.seeds == (0, 1)


def test_a_rate_that_was_not_searched_is_named(results):
    found = gather(results)
    rate = LAPTOP.frozen_rates[1]
    assert found.unsearched == found.plain()["unsearched"] == {SIGMAP: rate, NO_MAP: rate}
    assert f"{NO_MAP} was taught at a rate of {rate:g}" in markdown(found, {})
    made = {"store": {"name": "x"}, "versions": {}, "machine": {}}
    tried = Tried(Trial(("3",)), np.full(50, 3.0), 0.5, None)
    lower, higher = (Run(SIGMAP, AGENDA.tuned, 0, r) for r in LAPTOP.frozen_rates)
    outcomes.write(results, Outcome(higher, 1_000, (tried,), 1.0, 1.0, None, None, made))
    assert set(gather(results).unsearched) == {SIGMAP, NO_MAP}
    # One that failed was tried.
    (results / lower.file).with_suffix(".failed").write_text("the loss 9 exceeds 8")
    assert gather(results).unsearched == {}


def test_the_paper_is_marked_on_a_distribution_where_it_prints_the_share_within_a_metre(results):
    (figure,) = gather(results, ["table1"]).figures
    (random,) = [panel for panel in figure.panels if panel.title == "split random"]
    marks = {line.name: line.marks for line in random.lines}
    assert marks == {SIGMAP: ((1.0, 0.605),), NO_MAP: ((1.0, 0.31),)}


def test_what_uncertainty_was_stated_of_is_named(results):
    squared, radius = np.full(200, 1.0), np.full(200, 2.0)
    for outcome in outcomes.every(results):
        stated = [replace(t, squared=squared, radius=radius) for t in outcome.tests]
        if outcome.run.lesson.labels == 0:
            outcomes.write(results, replace(outcome, tests=tuple(stated)))
    part = markdown(gather(results), {}).split("## Stated uncertainty")[1]
    captions = re.findall(r"\*\*([\w-]+): ([^*]+)\*\*", part)
    assert captions == [
        ("maps", BY_NAME["maps"].title),
        ("maps-off", BY_NAME["maps-off"].title),
        ("labels", BY_NAME["labels"].title),
        ("maps-munich", "munich, no label: does a map help?"),
        ("maps-etoile", "etoile, no label: does a map help?"),
    ]
    assert part.count(f"| {RIGHT}, region |") == len(captions)


def test_lines_of_a_picture_can_be_told_apart(results):
    assert len(evidence_view.COLOURS) == COLOURS
    for figure in gather(results).figures:
        for panel in figure.panels:
            looks = {(line.family, line.member) for line in panel.lines}
            assert len(looks) == len(panel.lines)
            # Arms are of one family: a colour each.
            assert len({family for family, _ in looks}) == min(len(looks), COLOURS)


def test_the_page_says_what_the_paper_says_and_what_a_map_brought(results):
    found = gather(results)
    for page in (markdown(found, {}), html(found, {}).replace("&#x27;", "'")):
        for text in (ABSOLUTE, UNTOLD, "1.56", "60.5 %", "5.67", "what cities-echoes is better by"):
            assert text in page
    rows = re.findall(
        r"\| (cities-[a-z-]+) \| (-?[\d.]+) \| [^|]+ \| ([a-z ]+) \|", markdown(found, {})
    )
    verdicts = {name: (float(mean), verdict) for name, mean, verdict in rows}
    assert verdicts["cities-no-map"] == (2.0, "better")
    assert verdicts["cities-constant"][1] == "no difference shown"


def test_a_contrast_is_of_the_same_users_and_seeds():
    rng = np.random.default_rng(1)
    ours = {seed: rng.uniform(0, 10, 300) for seed in range(3)}
    better = contrast(ours, {seed: error + 1 for seed, error in ours.items()})
    assert better.mean == pytest.approx(1.0)
    assert (better.verdict, better.seeds) == ("better", 3)
    assert contrast(ours, {s: e - 1 for s, e in ours.items()}).verdict == "worse"
    noise = contrast(ours, {s: e + rng.normal(0, 3, 300) for s, e in ours.items()})
    assert noise.verdict == "no difference shown"
    assert contrast(ours, {7: ours[0]}) is None


def test_of_a_single_square_no_verdict_is_given():
    error = np.random.default_rng(3).uniform(0, 10, 50)
    one = {0: np.zeros(50, dtype=int)}
    told = contrast({0: error}, {0: error + 1}, one, one)
    assert told.told == ("1.00", "", "no difference shown", "1")


def test_a_link_more_costs_a_contrast_its_square_alone():
    rng = np.random.default_rng(2)
    squares = np.repeat(np.arange(10), 20)
    error = rng.uniform(0, 10, 200)
    # The other was traced again: another link in square 4, whose order is not known then.
    more = np.insert(error + 1, 85, 1_000.0), np.insert(squares, 85, 4)
    told = contrast({0: error}, {0: more[0]}, {0: squares}, {0: more[1]})
    assert told.mean == pytest.approx(1.0)
    assert told.seeds == 1
    assert contrast({0: error}, {0: more[0]}) is None
    # One gained in square 4 and one lost in square 7: as many, but not the same.
    moved = np.delete(more[0], 150), np.delete(more[1], 150)
    told = contrast({0: error}, {0: moved[0]}, {0: squares}, {0: moved[1]})
    assert told.mean == pytest.approx(1.0)
    # Of other users altogether nothing is said.
    few = {0: error[:60] + 1}, {0: squares}, {0: squares[:60]}
    assert contrast({0: error}, few[0], few[1], few[2]) is None


def test_smoke_runs_by_itself_and_its_results_make_a_page(tmp_path, capsys):
    out = tmp_path / "results"
    place = ["--out", str(out), "--work", str(tmp_path / "work"), "--recipes", str(RECIPES)]
    asked = ["--only", "table3", "maps-munich", "--methods", SIGMAP, GRID, "OMP", "kNN"]
    command = ["bench", "sigmap", "--scale", "smoke", *place, *asked]
    assert main([*command, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert f"pretraining of backbone-{GRID}" in planned
    assert "figures of etoile" in planned
    assert not out.exists()
    assert main(command) == 0
    assert "Table 3" in capsys.readouterr().out
    before = sorted(path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json"))
    assert len(before) == 3
    assert main(command) == 0
    assert "0 of 3 runs are left" in capsys.readouterr().err
    assert before == sorted(path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json"))
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "The tables of the SigMap paper" in page
    # The paper's own row of Table 4; its Table 3 is of a random split, which smoke leaves out.
    assert "1.026" in page
    assert "0.67" not in page
    # Runs are shared: those of Table 3 stand in Table 2 too, OMP's where it is asked in Munich:
    # Table 4 of all cities has NOMP in its place.
    shown = ("table3", "table2", "maps", "maps-munich", "table4-munich")
    assert page.count('src="data:image/png;base64,') == len(shown)
    assert all(f'id="{name}"' in page for name in shown)


def test_mistakes_are_one_line(tmp_path, results, capsys):
    start = ["bench", "sigmap", "--out"]
    cases = [
        ([*start, "x", "--scale", "laptop"], "no store is given: name a folder"),
        ([*start, "x", "--scale", "huge", "--stores", "munich=s"], "no scale huge"),
        ([*start, "x", "--stores", "paris=s"], "no store is called paris"),
        ([*start, "x", "--folder", str(tmp_path)], "holds no store"),
        ([*start, "x", "--stores", "munich=s", "--only", "fig1"], "no figure fig1"),
        ([*start, "x", "--stores", "munich=s", "--methods", "A"], "no method A"),
        ([*start, str(results), "--stores", "munich=s"], "holds results of scale laptop"),
        (
            ["bench", "lwlm", "--store", "s", "--out", str(results), "--scale", "laptop"],
            "holds results of sigmap",
        ),
        (["bench", "sigmap-stores", "--scale", "huge", "--out", "x"], "no stores of scale huge"),
    ]
    for arguments, message in cases:
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
