"""A method of somebody's own: asked what the others are, in their tables, refused in one line."""

import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from radiofix.benchmark.report import gather
from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.answers import ask
from radiofix.benchmark.runs.learned import held_out_links, labelled_links
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.own import Own, own
from radiofix.benchmark.runs.questions import FUSION, POSITION, TOA
from radiofix.cli import main
from radiofix.models.heads import Estimate

from .conftest import RECIPES

PAGE = Path(__file__).parents[2] / "docs" / "your-own-method.md"
MEAN = """
import torch

class Mean:
    name = "mean"

    def fit(self, soundings, truths):
        self.middle = torch.cat([truth.position for truth in truths]).mean(0)

    def locate(self, sounding):
        return self.middle[:2].repeat(len(sounding), 1)

class Station:
    name = "at-the-station"

    def locate(self, sounding):
        return sounding.station_position.numpy()

class Elsewhere(Mean):
    name = "kNN"

class Short(Mean):
    name = "short"
    questions = ("position",)

    def locate(self, sounding):
        return self.middle[:1]

class Mute:
    name = "mute"

class Odd(Mean):
    name = "../odd"

class Asked(Mean):
    name = "asked"
    questions = ("speed",)

def broken():
    raise RuntimeError("no\\nluck")

nothing = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a module in it, where commands are typed; it is forgotten afterwards."""
    (tmp_path / "own_mean.py").write_text(MEAN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("own_mean", "own_page"):
        sys.modules.pop(name, None)


def bench(kind, out, *more):
    place = ["--out", str(out), "--work", str(out) + "-work", "--recipes", str(RECIPES)]
    return main(["bench", kind, "--scale", "smoke", *place, *more])


def test_it_is_given_the_labels_of_the_others_and_asked_about_their_links(mine, site):
    method = own("own_mean:Mean")
    run = Run("mean", Lesson(POSITION, "region"), 0)
    position = torch.cat([truth.position for _, truth in labelled_links(run, site)])
    links = list(held_out_links(run, Trial(), site, "test"))
    found = ask(method.learn(run, site).answer, POSITION.make_task(), links, together=False)
    truth = torch.cat([truth.position for _, truth in links])
    away = (truth - position.mean(0))[:, :2].norm(dim=-1)
    np.testing.assert_allclose(found.error, away.numpy(), rtol=1e-5)
    assert pickle.loads(pickle.dumps(method)) == method


def test_what_it_says_is_read_for_every_question(mine, site):
    method = own("own_mean:Mean")
    run = Run("mean", Lesson(TOA, "region"), 0)
    links = list(held_out_links(run, Trial(), site, "test"))
    task = TOA.make_task()
    answer = method.learn(run, site).answer
    position = torch.cat([truth.position for _, truth in labelled_links(run, site)]).mean(0)
    for sounding, _ in links:
        # The miniature's users all stand at 1.5 m.
        place = torch.tensor([*position[:2].tolist(), 1.5], dtype=torch.float64)
        expected = (place - sounding.station_position.double()).norm(dim=-1) / 299_792_458.0
        torch.testing.assert_close(answer(sounding).double(), expected, rtol=1e-5, atol=1e-12)
    assert np.isfinite(ask(answer, task, links, together=False).error).all()
    four = Lesson(FUSION, "region", stations=("3", "4"))
    fused = Own("a", False, ("fusion",), place="own_mean:Station")
    asked = list(held_out_links(Run("a", four, 0), Trial(("3", "4")), site, "test"))
    # Without weights of its own all links of a user count the same.
    ((sounding, truth),) = asked
    error = ask(fused.learn(Run("a", four, 0), site).answer, FUSION.make_task(), asked, True).error
    for user, one in zip(dict.fromkeys(sounding.user.tolist()), error, strict=True):
        here = sounding.user == user
        middle = sounding.station_position[here].double().mean(0)
        away = (middle - truth.position[here][0])[:2].norm()
        assert one == pytest.approx(float(away), rel=1e-5)


def test_what_is_no_position_of_each_link_is_told(mine, site):
    sounding, _ = next(
        iter(held_out_links(Run("a", Lesson(POSITION, "region"), 0), Trial(), site, "test"))
    )
    method = own("own_mean:Mean")
    for wrong in (torch.zeros(1, 3), torch.zeros(len(sounding)), torch.zeros(len(sounding), 4)):
        with pytest.raises(ValueError, match=re.escape("mean.locate gave positions of shape")):
            method.placed(wrong, sounding, 1.5)
    scale = torch.eye(2).expand(len(sounding), 2, 2)
    stated = Estimate(torch.zeros(len(sounding), 3), scale)
    assert method.placed(stated, sounding, 1.5).scale is scale


def test_without_fit_it_is_a_row_without_labels(mine):
    lesson = Lesson(POSITION, "region", labels=100)
    assert own("own_mean:Station").lesson(lesson).labels == 0
    assert own("own_mean:Mean").lesson(lesson) == lesson
    assert own("own_mean:Mean").lesson(Lesson(POSITION, "region", labels=0)) is None
    assert own("own_mean:Short").lesson(Lesson(TOA, "region")) is None


def test_what_cannot_be_had_is_refused_in_one_line(mine, capsys):
    cases = [
        ("own_mean", "is not of the form MODULE:MAKE"),
        ("own_nowhere:make", "cannot be imported: ModuleNotFoundError"),
        ("own_mean:Nothing", "there is nothing to call named Nothing in own_mean"),
        ("own_mean:nothing", "there is nothing to call named nothing"),
        ("own_mean:broken", "cannot be made: RuntimeError: no luck"),
        ("own_mean:Mute", "mute has no locate(sounding)"),
        ("own_mean:Odd", "has name='../odd'"),
        ("own_mean:Asked", "no question speed: there are toa, aoa, position, fusion"),
        ("own_mean:Elsewhere", "a method is called kNN already"),
    ]
    for place, message in cases:
        assert bench("sigmap", mine / "out", "--method", place) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert not (mine / "out").exists()


def test_the_page_s_method_stands_in_the_tables_and_reports_need_no_code(mine, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (mine / "own_page.py").write_text(code)
    out = mine / "results" / "of-mine"
    asked = ("--method", "own_page:Ridge", "--method", "own_mean:Station", "--methods", "kNN")
    assert bench("sigmap", out, *asked, "--only", "table4-munich") == 0
    printed = capsys.readouterr().out
    assert "| ridge |" in printed
    found = {o.run.method: o for o in outcomes.every(out)}
    assert set(found) == {"ridge", "at-the-station", "kNN"}
    assert len(found["ridge"].tests[0].error) == len(found["kNN"].tests[0].error)
    assert list(found["ridge"].tests[0].square) == list(found["kNN"].tests[0].square)
    assert (found["ridge"].labels, found["at-the-station"].labels) == (6, 0)
    # Nothing that is done is done again, but for what a changed module says.
    assert bench("sigmap", out, *asked, "--only", "table4-munich") == 0
    assert "0 of 3 runs are left" in capsys.readouterr().err
    (mine / "own_page.py").write_text(code.replace("0.01 *", "0.02 *"))
    del sys.modules["own_page"]
    assert bench("sigmap", out, *asked, "--only", "table4-munich", "--plan") == 0
    assert "1 of 3 runs are left" in capsys.readouterr().out
    for name in ("own_page", "own_mean"):
        (mine / f"{name}.py").unlink()
        sys.modules.pop(name, None)
    asked_for = json.loads((out / "bench.json").read_text())
    assert set(asked_for["own"]) == {"ridge", "at-the-station"}
    assert "own_page:Ridge" in asked_for["commands"][0]
    assert " --out results/of-mine " in asked_for["commands"][0]
    figures = {f.name: f for f in gather(out).figures}
    there = {cell.method for cell in figures["table4-munich"].cells}
    assert there == {"ridge", "at-the-station", "kNN"}
    assert main(["report", str(out)]) == 0
    assert "code (SHA-256): ridge from" in (out / "report.md").read_text()


def test_a_run_of_it_that_fails_is_one_line_and_the_others_go_on(mine):
    out = mine / "out"
    asked = ("--method", "own_mean:Short", "--methods", "NOMP", "--only", "fig10a")
    assert bench("lwlm", out, *asked) == 1
    assert [o.run.method for o in outcomes.every(out)] == ["NOMP"]
    (line,) = outcomes.failures(out).values()
    assert "short.locate gave positions of shape (1,)" in line
