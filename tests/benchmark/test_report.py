"""The pages say what the results say, beside the paper, and need nothing from outside."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from radiofix.benchmark.lwlm.limit import LIMIT, SURVEY
from radiofix.benchmark.lwlm.protocols import AGENDA, BY_NAME, PROTOCOLS, trials_of
from radiofix.benchmark.lwlm.scales import SMOKE
from radiofix.benchmark.lwlm.subject import SUBJECT
from radiofix.benchmark.pages import LIMITED, html, markdown
from radiofix.benchmark.report import gather
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.choosing import points_of
from radiofix.benchmark.runs.outcomes import Cost, Outcome, Run, Tried
from radiofix.cli import main

MADE = {
    "store": {"name": "o1.zarr"},
    "seed": 0,
    "versions": {"radiofix": "1", "torch": "2"},
    "machine": {"system": "Linux", "cores": 2},
}
WITH_PAPER = "LWLM"
WITHOUT_LABELS = "NOMP"


def errors(method, lesson, test, seed):
    """Different for all, the same every time."""
    name = f"{method}{lesson.name}{test}{seed}"
    rng = np.random.default_rng([ord(letter) for letter in name])
    return rng.exponential(1 + len(method) / 3, 300).round(4)


def put(out, method, point, seed, rate):
    lesson = point.lesson
    tests = tuple(
        Tried(
            test,
            errors(method, lesson, test, seed),
            0.5,
            None if lesson.labels == 0 else 0.72,
            squared=np.full(300, 2.0),
            radius=np.full(300, 1.5),
        )
        for test in trials_of(lesson)
    )
    run = Run(method, lesson, seed, rate)
    outcome = Outcome(run, 24, tests, 1.0, 30.0, Cost(5_269_504, 10**9), "ab" * 32, MADE)
    outcomes.write(out, outcome)
    return run


@pytest.fixture
def results(tmp_path):
    """Some figures of one method, of scale smoke, everything else missing."""
    out = tmp_path / "results"
    out.mkdir()
    asked = {
        "scale": "smoke",
        "pretrained": "radiofix-nano",
        "commands": ["radiofix bench lwlm --scale smoke --store o1.zarr"],
        "stores": {"o1": True, "cross": False},
    }
    (out / "bench.json").write_text(json.dumps(asked))
    for name in ("fig10a", "fig10c"):
        for point in BY_NAME[name].every:
            put(out, WITH_PAPER, point, 0, 1e-3)
    return out


def table(page, caption):
    """Rows of the first Markdown table under a caption, by their first cell."""
    lines = page[page.index(caption) :].splitlines()
    rows = [line for line in lines if line.startswith("|")]
    cells = [[c.strip() for c in row.strip("|").split("|")] for row in rows]
    end = next(n for n, line in enumerate(lines) if n > 3 and not line.startswith("|"))
    return cells[0], {row[0]: row[1:] for row in cells[2 : end - 2]}


def test_the_numbers_of_the_tables_are_those_of_the_files(results):
    page = markdown(gather(results), {})
    part = page[page.index("Fig. 10a") :]
    head, rows = table(part, "Split random")
    point = BY_NAME["fig10a"].at("random")[0]
    error = errors(WITH_PAPER, point.lesson, point.test, 0)
    told = dict(zip(head[1:], rows[WITH_PAPER], strict=True))
    assert told["paper, mean"] == "0.67"
    assert rows["OMP"][head[1:].index("paper, mean")] == "3.68*"
    assert set(rows["OMP"]) == {"3.68*", ""}
    assert told["ours, mean"].split()[0] == f"{error.mean():.2f}"
    assert told["RMSE"] == f"{np.sqrt((error**2).mean()):.2f}"
    assert told["90 %"] == f"{np.quantile(error, 0.9):.2f}"
    assert told["within 1 m"] == f"{100 * (error <= 1).mean():.1f} %"
    assert told["nearest label [m]"] == "0.72"
    low, high = (float(v) for v in re.findall(r"[\d.]+", told["ours, mean"])[1:])
    assert low < error.mean() < high


def test_in_short_each_method_has_one_number_a_question_and_the_paper_its_own(results):
    page = markdown(gather(results), {})
    part = page[page.index("## In short") : page.index("## Fig.")]
    assert part.index("Split region") < part.index("Split random")
    head, rows = table(part + "\n\n\n", "Split random")
    assert head == ["method", "position, mean [m]", "50 MHz"]
    (clean,), wide = BY_NAME["fig10a"].at("random"), BY_NAME["fig10c"].at("random")[-1]
    means = [errors(WITH_PAPER, p.lesson, p.test, 0).mean() for p in (clean, wide)]
    assert rows[WITH_PAPER] == [f"{mean:.2f}" for mean in means]
    assert rows["LWLM, paper"] == ["0.67", ""]
    assert rows["OMP, paper"] == ["3.68*", ""]
    assert rows["nearest label [m]"] == ["0.7", "0.7"]
    _, apart = table(part, "Split region")
    assert not [name for name in apart if "paper" in name]


def test_a_curve_has_the_papers_row_below_ours(results):
    page = markdown(gather(results), {})
    head, rows = table(page[page.index("Fig. 10c") :], "Split random")
    assert head[1:] == ["10", "20", "30", "40", "50"]
    assert rows["LWLM, paper"] == ["0.67", "", "0.80", "", ""]
    # Said of methods too that have not been run.
    assert rows["LWLM-SFMCM, paper"] == ["1.06 to 1.37*", "", "1.25 to 1.81*", "", ""]
    for told, point in zip(rows[WITH_PAPER], BY_NAME["fig10c"].at("random"), strict=True):
        mean = errors(WITH_PAPER, point.lesson, point.test, 0).mean()
        assert told.split()[0] == f"{mean:.2f}"


def test_the_paper_stands_beside_its_own_split_alone(results):
    found = gather(results)
    part = markdown(found, {}).split("## In short")[1]
    apart = [text for text in part.split("**Split ") if text.startswith("region")]
    assert len(apart) > 2
    assert not [text for text in apart if "paper" in text.split("\n##")[0]]
    marks = {
        panel.title: [line.marks for line in panel.lines if line.name == WITH_PAPER]
        for figure in found.figures
        if figure.name == "fig10a"
        for panel in figure.panels
    }
    assert marks["split region"] == [()]
    (random,) = marks["split random"]
    assert random == ()  # A mean has no place in a distribution.
    curve = next(figure for figure in found.figures if figure.name == "fig10c")
    marks = {panel.title: [line.marks for line in panel.lines] for panel in curve.panels}
    assert not any(marks["split region"])
    assert ((10.0, 0.67), (30.0, 0.80)) in marks["split random"]


def test_what_is_missing_is_counted_by_method(results):
    found = gather(results)
    wanted = {p.lesson for protocol in PROTOCOLS for p in points_of(protocol, SMOKE, ["o1"])}
    # Of those that are there the scale asks for two: 10 and 50 MHz on the region split.
    assert found.missing[WITH_PAPER] == len(wanted & AGENDA.limited[WITH_PAPER]) - 2
    assert found.missing["radiofix-nano"] == len(wanted)
    assert f"radiofix-nano: {len(wanted)} runs" in markdown(found, {})


def test_a_failure_is_told_with_its_reason(results):
    lesson = BY_NAME["fig8"].every[0].lesson
    outcomes.write_failure(results, Run("kNN", lesson, 0), "ValueError: too few")
    assert "kNN-seed0 failed: ValueError: too few" in markdown(gather(results), {})


def test_seeds_are_joined_and_other_rates_left_out(results):
    asked = json.loads((results / "bench.json").read_text())
    (results / "bench.json").write_text(json.dumps({**asked, "scale": "laptop"}))
    (point,) = BY_NAME["fig10a"].at("region")
    put(results, WITH_PAPER, point, 1, 1e-3)
    put(results, WITH_PAPER, point, 2, 3e-2)
    figure = gather(results, ["fig10a"]).figures[0]
    (cell,) = figure.of("region", WITH_PAPER)
    assert cell.seeds == (0, 1)
    each = [errors(WITH_PAPER, point.lesson, point.test, seed).mean() for seed in (0, 1)]
    assert cell.value == pytest.approx(np.mean(each))
    assert len(cell.error) == 600


def test_a_method_without_labels_stands_at_every_number_of_them(results):
    (point, *_) = BY_NAME["fig10b"].at("region")
    put(results, WITHOUT_LABELS, replace(point, lesson=replace(point.lesson, labels=0)), 0, None)
    figure = gather(results, ["fig10b"]).figures[0]
    cells = figure.of("region", WITHOUT_LABELS)
    assert [cell.x for cell in cells] == [1_000, 10_000]
    assert len({cell.value for cell in cells}) == 1
    assert cells[0].nearest_label is None


def test_machines_versions_and_the_command_are_told(results):
    page = markdown(gather(results), {})
    for text in (
        "    radiofix bench lwlm --scale smoke --store o1.zarr",
        "store: o1.zarr",
        "versions: radiofix 1, torch 2",
        "machine: cores 2, system Linux",
        "seeds: 0",
        "LWLM from abababababababab",
        "5.27",
    ):
        assert text in page


def test_stated_uncertainty_is_told(results):
    part = markdown(gather(results), {}).split("## Stated uncertainty")[1]
    _, rows = table(part, "fig10a: Position from one station")
    assert rows["LWLM, region"] == ["100.0 %", "1.00", "1.50"]
    assert part.count("**fig10a") == 1


def test_stated_uncertainty_is_told_along_an_axis_too(results):
    part = markdown(gather(results), {}).split("## Stated uncertainty")[1]
    head, _ = table(part, "fig10c: Position from one station by bandwidth")
    assert head[:2] == ["method, split", "bandwidth [MHz]"]
    rows = [line for line in part.splitlines() if line.startswith("| LWLM, region | 30 |")]
    assert rows == ["| LWLM, region | 30 | 100.0 % | 1.00 | 1.50 |"]


def test_a_method_is_weighed_where_it_is_asked_of_the_fewest_stations(results):
    (one,) = BY_NAME["fig10a"].at("region")
    (four,) = BY_NAME["fig11a"].at("region")
    (slower,) = (point for point in BY_NAME["fig10c"].at("region") if point.x == 30)
    for name, points in (("NOMP", (slower, one, four)), ("OMP-weighted", (four,))):
        for point in points:
            lesson = replace(point.lesson, labels=0)
            each = 5.0 if point is slower else 3.0
            tests = (Tried(point.test, np.ones(300), each * len(lesson.stations), None),)
            run = Run(name, lesson, 0)
            outcomes.write(results, Outcome(run, 0, tests, None, 30.0, None, None, MADE))
    ((head, rows),) = _costs_of(results)
    told = {name: dict(zip(head[1:], row, strict=True)) for name, row in rows.items()}
    assert (told["NOMP"]["stations"], told["NOMP"]["ms a fix"]) == ("1", "3.00")
    assert (told["OMP-weighted"]["stations"], told["OMP-weighted"]["ms a fix"]) == ("4", "12.00")


def test_parameters_that_learn_stand_beside_all_of_them_once_they_are_counted(results):
    told = [h for h, _ in _costs_of(results)]
    assert "parameters that learn" not in told[0]
    (point,) = BY_NAME["fig10a"].at("region")
    run = put(results, WITH_PAPER, point, 0, 1e-3)
    outcome = outcomes.read(results, run)
    outcomes.write(results, replace(outcome, cost=replace(outcome.cost, learnt=24_416)))
    ((head, rows),) = _costs_of(results)
    told = dict(zip(head[1:], rows[WITH_PAPER], strict=True))
    assert (told["parameters [M]"], told["parameters that learn"]) == ("5.27", "24,416")


def _costs_of(results):
    return [table(markdown(gather(results), {}), "**A fix**")]


def test_the_page_asks_the_network_for_nothing(results, capsys):
    assert main(["report", str(results)]) == 0
    page = (results / "report.html").read_text()
    assert "http" not in page.lower()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "<script" not in page
    # Six figures, since others share their lessons with the two.
    assert page.count('src="data:image/png;base64,') == 6
    for name in ("fig10a", "fig10b", "fig10c", "fig10d", "fig10-clock", "walls"):
        assert f'href="#{name}"' in page
        assert f'id="{name}"' in page
        for suffix in ("png", "svg"):
            assert (results / "report-pictures" / f"{name}.{suffix}").stat().st_size > 5_000
    written = (results / "report.md").read_text()
    assert "(report-pictures/fig10a.png)" in written
    assert "10 runs are done" in capsys.readouterr().out


def test_beside_every_comparison_it_is_said_that_the_scene_is_another(results):
    found = gather(results)
    for page in (markdown(found, {}), html(found, {}).replace("&#x27;", "'")):
        compared = [figure for figure in found.figures if any(c.paper for c in figure.cells)]
        assert {figure.name for figure in compared} == {"fig10a", "fig10b", "fig10c", "fig10d"}
        assert page.count(SUBJECT.beside) == len(compared)


def test_mirrored_places_stand_apart_along_an_axis(results):
    (point, *_) = BY_NAME["snr"].at("region")
    run = put(results, WITH_PAPER, point, 0, 1e-3)
    outcome = outcomes.read(results, run)
    error = np.array([1.0, 3.0, 60.0, 200.0])
    outcomes.write(results, replace(outcome, tests=(replace(outcome.tests[0], error=error),)))
    page = markdown(gather(results, ["snr"]), {})
    _, rows = table(page, "Split region: share of errors over 50 m, and the mean of the others")
    assert rows[WITH_PAPER] == ["50.0 %, 2.00"]


def test_errors_stand_beside_what_the_channels_allow_and_a_survey_would(results):
    own, least = {}, {}
    for point in BY_NAME["snr"].at("region")[1:3]:
        run = put(results, WITH_PAPER, point, 0, 1e-3)
        own[point.x] = outcomes.read(results, run).tests[0].error.mean()
        bare = replace(point, lesson=replace(point.lesson, labels=0))
        for name in (LIMIT, SURVEY):
            outcome = outcomes.read(results, put(results, name, bare, 0, None))
            least[name, point.x] = outcome.tests[0].error.mean()
    # At 20 dB noise leaves a millimetre: 4,000 times that tells nothing.
    tests = (replace(outcome.tests[0], error=np.full(3, 1e-3)),)
    outcomes.write(results, replace(outcome, run=replace(outcome.run, method=LIMIT), tests=tests))
    page = markdown(gather(results, ["snr"]), {})
    head, rows = table(page, "Split region: ratio to the limit")
    assert head[1:] == ["10", "20"]
    assert rows[WITH_PAPER] == [f"{own[10] / least[LIMIT, 10]:.1f}", ""]
    assert rows[LIMIT] == ["1.0", ""]
    _, rows = table(page, "Split region: ratio to the survey")
    assert rows[WITH_PAPER] == [f"{own[x] / least[SURVEY, x]:.1f}" for x in (10, 20)]
    assert LIMITED in page


def test_both_pages_hold_the_same_numbers(results):
    found = gather(results)
    told = re.findall(r"\d+\.\d\d \[[\d., ]+\]", markdown(found, {}))
    assert told
    assert told == re.findall(r"\d+\.\d\d \[[\d., ]+\]", html(found, {}))


def test_a_table_can_be_asked_for_without_a_run(results, capsys):
    before = sorted(results.rglob("*"))
    status = main(["bench", "lwlm", "--table", "--only", "fig10c", "--out", str(results), "--json"])
    assert status == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {cell["figure"] for cell in cells} == {"fig10c"}
    assert len(cells) == 10
    assert sorted(results.rglob("*")) == before


def test_mistakes_are_one_line(tmp_path, results, capsys):
    cases = [
        (["report", str(tmp_path)], "holds no results of `radiofix bench lwlm`"),
        (["report", str(results), "--out", "page.txt"], "end it in .html"),
        (["bench", "lwlm", "--out", "x", "--scale", "laptop"], "no store is given"),
        (["bench", "lwlm", "--out", "x", "--store", "s", "--scale", "huge"], "no scale huge"),
        (["bench", "lwlm", "--out", "x", "--store", "s", "--only", "fig1"], "no figure fig1"),
        (["bench", "lwlm", "--out", "x", "--store", "s", "--methods", "A"], "no method A"),
        (["bench", "lwlm", "--out", "x", "--store", "s", "--seeds", "5"], "no seed 5"),
        (["bench", "lwlm", "--out", "x", "--store", "s", "--splits", "random"], "no split random"),
        (
            ["bench", "lwlm", "--out", "x", "--store", "s", "--stores", "a=b"],
            "no store is called a",
        ),
        (
            ["bench", "lwlm", "--out", str(results), "--store", "s", "--scale", "paper"],
            "holds results of scale smoke",
        ),
    ]
    for arguments, message in cases:
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1


def test_a_method_looks_the_same_on_all_splits(results):
    (figure,) = gather(results, ["fig10a"]).figures
    names = [
        name for name in figure.looks if name.startswith(("radiofix", "LWLM")) or name == "kNN"
    ]
    shown = {"region": names, "random": names[1:]}
    cells = (
        replace(figure.cells[0], method=name, split=split)
        for split, there in shown.items()
        for name in there
    )
    drawn = {
        panel.title: {line.name: (line.family, line.member) for line in panel.lines}
        for panel in replace(figure, cells=tuple(cells)).panels
    }
    region, random = drawn["split region"], drawn["split random"]
    assert len(region) == len(random) + 1 == len(names)
    assert random == {name: look for name, look in region.items() if name in random}
    assert len(set(region.values())) == len(region)


def test_what_was_learnt_at_several_rates_stands_beside_each_other(results):
    asked = json.loads((results / "bench.json").read_text())
    (results / "bench.json").write_text(json.dumps({**asked, "scale": "laptop"}))
    assert "Rates of learning" not in markdown(gather(results), {})
    (point,) = BY_NAME["fig10a"].at("region")
    few = replace(point, lesson=AGENDA.tuned)
    for one, rate, validation in ((few, 1e-3, 3.0), (few, 3e-4, 2.0), (point, 3e-4, 4.0)):
        run = put(results, WITH_PAPER, one, 0, rate)
        place = results / run.file
        place.write_text(json.dumps({**json.loads(place.read_text()), "validation": validation}))
    page = markdown(gather(results), {})
    part = page[page.index("## Rates of learning") :]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines()]
    rows = [row[1:] for row in rows if row[0] == WITH_PAPER]

    def test(one):
        (asked,) = trials_of(one.lesson)
        return f"{errors(WITH_PAPER, one.lesson, asked, 0).mean():.2f} m"

    assert rows == [
        [few.lesson.name, "0", "0.0003", "2.00 m", test(few), "yes"],
        [few.lesson.name, "0", "0.001", "3.00 m", test(few), ""],
        [point.lesson.name, "0", "0.0003", "4.00 m", test(point), "yes"],
        [point.lesson.name, "0", "0.001", "1.00 m", test(point), ""],
    ]
