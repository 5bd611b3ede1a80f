"""Where points are worth most, and what error they lead to."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.mistakes import mistake
from miniature import write_measured, write_miniature
from models.soundings import random_sounding, random_truth
from radiofix.cli import main
from radiofix.data.store import open_paths
from radiofix.models.frame import FrameHead
from radiofix.models.localizer import Localizer
from radiofix.models.pretrained import load
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.serving import learning
from radiofix.serving.chosen import chosen_links, truth_of
from radiofix.serving.learning import Claim, Curve, Known, Prior, expect, learn, stated_median
from radiofix.serving.soundings import Reading
from radiofix.serving.survey import Candidates, candidates, choose, distances, survey

ROOT = Path(__file__).parents[2]
HALF = int(learning.HALF)
PRIOR = Prior(slope=0.8, slope_deviation=0.3, stated_deviation=0.5, basis="one curve")


def on_a_line(x, deviation=None):
    """Users on a line whose channels differ as their places do."""
    x = np.asarray(x, dtype=float)
    position = np.stack([x, 0 * x, 0 * x], -1)
    deviation = np.ones(len(x)) if deviation is None else np.asarray(deviation, dtype=float)
    covariance = np.eye(3) * (deviation**2 / 2)[:, None, None]
    trusted = np.ones(len(x), dtype=bool)
    return Candidates(np.arange(len(x)) + 10, position, covariance, trusted, position.copy())


def test_the_first_point_stands_where_it_is_nearest_to_all_weighted():
    found = on_a_line([0, 1, 2, 3, 10])
    (place,) = survey(found, 1)
    # The median of five on a line, not their mean, which lies nowhere near a user.
    assert place.position[0] == 2
    assert place.user == 12
    assert place.stands_for == 5
    assert place.nearest == math.inf
    assert survey(on_a_line([0, 1, 2, 3, 10], [1, 1, 1, 1, 3]), 1)[0].position[0] == 3


def test_each_point_lowers_the_weighted_distance_as_much_as_any_could():
    generator = np.random.default_rng(0)
    apart = distances(on_a_line(generator.random(12) * 50))
    weight = generator.random(12)
    chosen = choose(apart, weight, 4, taken=[3])
    have = [3]
    for one in chosen:
        costs = [weight @ apart[:, [*have, c]].min(1) for c in range(12)]
        assert costs[one] == pytest.approx(min(c for k, c in enumerate(costs) if k not in have))
        have.append(int(one))
    best = min(weight @ apart[:, [3, *s]].min(1) for s in itertools.combinations(range(12), 4))
    start = weight @ apart[:, [3]].min(1)
    assert start - weight @ apart[:, have].min(1) >= (1 - 1 / math.e) * (start - best)


def test_a_crowd_counts_more_than_an_outlier_and_points_spread():
    x = [*np.linspace(0, 1, 20), *np.linspace(50, 51, 20), 400.0]
    places = survey(on_a_line(x), 3)
    assert {round(p.position[0] / 50) for p in places[:2]} != {8}
    assert {round(p.position[0] / 50) for p in places} == {0, 1, 8}
    assert sum(p.stands_for for p in places) == 41
    assert sum(p.share for p in places) == pytest.approx(1)


def test_nothing_is_asked_where_it_is_known():
    found = on_a_line([0, 1, 2, 100, 101, 102])
    (place,) = survey(found, 1, labelled=np.array([11]))
    assert place.position[0] == 101
    assert place.nearest == 100
    chosen = {p.user for p in survey(found, 5, labelled=np.array([11]))}
    assert chosen == {10, 12, 13, 14, 15}
    with pytest.raises(ValueError, match="from 1 to the 5 users heard, got 6"):
        survey(found, 6, labelled=np.array([11]))


def test_one_mirrored_user_does_not_outweigh_the_others():
    deviation = np.ones(41)
    deviation[40] = 500.0
    x = [*np.linspace(0, 40, 40), 60.0]
    (place,) = survey(on_a_line(x, deviation), 1)
    assert place.position[0] < 30


def test_reasons_name_what_is_unusual():
    found = on_a_line([0, 1, 2, 50, 51, 52], [1, 1, 1, 8, 8, 8])
    calm, uncertain = sorted(survey(found, 2), key=lambda p: p.position[0])
    assert "no point near" in calm.reason
    assert "stated errors of 8.0 m where 4.5 m are usual" in uncertain.reason
    strange = Candidates(
        found.user, found.position, found.covariance, np.zeros(6, dtype=bool), found.feature
    )
    assert all("unlike what the model knows" in p.reason for p in survey(strange, 2))


def test_places_apart_on_the_ground_but_alike_in_their_channels_are_half_as_far():
    found = on_a_line([0, 10, 20])
    alike = Candidates(
        found.user, found.position, found.covariance, found.trusted, np.zeros((3, 2))
    )
    np.testing.assert_allclose(distances(alike), distances(found) / 2)
    np.testing.assert_allclose(distances(found)[0], [0, 9 / 4, 9 / 2])


def test_candidates_are_the_models_own_fixes_of_the_users_that_were_heard(tmp_path):
    store = open_paths(write_miniature(tmp_path / "mini.zarr"))
    model = load("radiofix-nano")
    reading = Reading(bandwidth=20e6, antennas=8, subcarriers=32)
    found = candidates(model, store, np.arange(60), reading)
    heard = store.links().present.any(1).reshape(60, 2).any(1)
    assert found.user.tolist() == torch.nonzero(heard).flatten().tolist()
    assert found.feature.shape == (len(found), 2 * model.encoder.dim)
    alone = next(u for u in range(60) if store.links([u]).present.any(1).sum() == 1)
    fix = model.fix(chosen_links(store, np.array([alone]), reading))
    row = found.user.tolist().index(alone)
    np.testing.assert_allclose(found.position[row], fix.position[0], atol=1e-2)
    deviation = math.sqrt(fix.covariance[0, :2, :2].diagonal().sum())
    assert found.deviation[row] == pytest.approx(deviation, rel=1e-3)


def test_without_labels_the_stated_error_falls_as_the_known_sites_did():
    found = expect(PRIOR, 6.0, labels=(0, HALF, 3 * HALF))
    assert [e.median for e in found] == pytest.approx([6.0, 6.0 * 2**-0.8, 6.0 * 4**-0.8])
    widths = [math.log(e.high / e.low) for e in found]
    assert widths == sorted(widths)
    reach = 1.2815515655446004
    assert widths[0] == pytest.approx(2 * reach * math.hypot(0.5, learning.UNKNOWN_MEASURED))


def test_measured_errors_bend_the_curve_as_bayes_has_it():
    measured = [Known(40, 3.0), Known(160, 2.4)]
    (found,) = expect(PRIOR, 6.0, measured, labels=(HALF,))
    # The same by brute force: every line (a, b) weighed by what it makes of all that is known.
    a, b = np.meshgrid(np.linspace(-1, 4, 801), np.linspace(-2, 4, 801), indexing="ij")
    surprise = ((b - PRIOR.slope) / PRIOR.slope_deviation) ** 2
    surprise = surprise + ((math.log(6.0) - a) / PRIOR.stated_deviation) ** 2
    for known in measured:
        line = a - b * math.log1p(known.labels / learning.HALF)
        surprise = surprise + ((math.log(known.median) - line) / learning.UNKNOWN_MEASURED) ** 2
    weight = np.exp(-surprise / 2)
    mean = (weight * (a - b * math.log(2))).sum() / weight.sum()
    assert math.log(found.median) == pytest.approx(mean, abs=1e-3)
    (blind,) = expect(PRIOR, 6.0, labels=(HALF,))
    assert found.median < blind.median
    assert found.high / found.low < blind.high / blind.low


def test_a_circle_of_one_metre_has_its_median_error_at_the_rayleigh_median():
    covariance = np.tile(np.diag([4.0, 4.0, 0.01]), (4000, 1, 1))
    assert stated_median(covariance) == pytest.approx(2 * math.sqrt(2 * math.log(2)), rel=0.02)


def test_curves_of_results_take_the_best_validation_and_join_seeds(tmp_path):
    def write(name, labels, seed, rate, validation, errors, method="simulated"):
        run = {"condition": "street", "method": method, "labels": labels, "seed": seed}
        content = {"run": {**run, "rate": rate}, "validation": validation, "errors": errors}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    write("a", 0, 0, 1e-3, 9.0, [4.0, 6.0, 90.0])
    write("b", 500, 0, 1e-3, 5.0, [1.0, 2.0, 3.0])
    write("c", 500, 0, 1e-4, 4.0, [2.0, 3.0, 4.0])
    write("d", 500, 1, 1e-3, 5.0, [4.0, 5.0, 6.0])
    write("e", 500, 0, 1e-3, 5.0, [1.0], method="scratch")
    (tmp_path / "table.json").write_text("[]")
    (curve,) = learning.read_results(tmp_path)
    assert (curve.site, curve.method) == ("street", "simulated")
    assert curve.known == (Known(0, 6.0), Known(500, 4.0))
    assert curve.slope == pytest.approx(math.log(6 / 4) / math.log(1 + 500 / HALF))


def test_what_is_learnt_of_few_sites_is_told_as_uncertain():
    one = Curve("a", "m", (Known(0, 8.0), Known(HALF, 4.0)))
    prior = learn([one], [Claim("a", stated=4.0, median=8.0), Claim("b", stated=8.0, median=4.0)])
    assert prior.slope == pytest.approx(1.0)
    assert prior.slope_deviation == learning.UNKNOWN_SLOPE
    assert prior.stated_deviation == pytest.approx(math.log(2))
    assert "a 4.0 stated, 8.0 m true" in prior.basis
    far = Curve("b", "m", (Known(0, 8.0), Known(HALF, 8.0)))
    both = learn([one, far])
    assert both.slope == pytest.approx(0.5)
    assert both.slope_deviation == pytest.approx(math.sqrt(0.5))
    assert f"2 measured curves: a (m, 0, {HALF} labels); b" in both.basis
    with pytest.raises(ValueError, match="no site's learning curve"):
        learn([])


def medians_of(known):
    """Of the results that a number of the packaged curves names."""
    contents = [json.loads((ROOT / name).read_text()) for name in known["results"]]
    for content in contents:
        if "errors" in content:
            yield float(np.median(content["errors"]))
        elif known["labels"] == 0:
            yield content["without_labels"]["median"]
        else:
            runs = [r for r in content["runs"] if r["points"] == known["labels"]]
            yield float(np.median([r["median"] for r in runs if r["chosen"] == "random"]))


def test_the_curves_of_the_package_are_those_of_the_results():
    text = (ROOT / "src/radiofix/serving/learning.json").read_text()
    for entry in json.loads(text)["curves"]:
        for known in entry["known"]:
            assert known["median"] == pytest.approx(np.median(list(medians_of(known))), abs=0.005)
    prior = learn(learning.known_curves(), learning.known_claims())
    # On the cross street the errors were five times those that were stated: no label, no certainty.
    assert prior.stated_deviation > 1


def test_the_page_has_the_figures_of_the_experiment():
    page = (ROOT / "docs/survey.md").read_text()
    result = json.loads((ROOT / "results/survey.json").read_text())
    for points in (50, 100):
        rows = {}
        for chosen in ("survey", "random"):
            runs = [r for r in result["runs"] if (r["points"], r["chosen"]) == (points, chosen)]
            rows[chosen] = runs
            each = ", ".join(f"{r['median']:.2f}" for r in runs)
            far = ", ".join(f"{r['mean']:.2f}" for r in runs)
            assert f"| {points} | {chosen} | {each} | {far} |" in page
        pairs = zip(rows["survey"], rows["random"], strict=True)
        assert all(ours["median"] < theirs["median"] for ours, theirs in pairs)


def test_a_short_fine_tuning_learns_its_labels_and_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    localizer = Localizer(RadiofixEncoder(dim=16, layers=1, heads=2), FrameHead(16)).eval()
    sounding, truth = random_sounding(24), random_truth(24)
    before = localizer.fix(sounding).position
    taught = learning.fine_tuned(localizer, sounding, truth, steps=60)
    assert torch.equal(localizer.fix(sounding).position, before)
    error = [(m.fix(sounding).position - truth.position)[:, :2].norm(dim=1) for m in
             (localizer, taught)]  # fmt: skip
    assert error[1].mean() < 0.9 * error[0].mean()


def test_measuring_uses_growing_shares_of_labels_and_other_users(monkeypatch):
    taught, asked = [], []

    class Told:
        """Remembers whom it is asked for, and puts them 3 m and 4 m away."""

        def fix(self, sounding):
            asked.append(set(sounding.user.tolist()))
            shift = torch.tensor([3.0, 4.0, 100.0], dtype=torch.float64)
            position = random_truth(48).position[sounding.user] + shift
            return type("Fix", (), {"position": position})()

    def tuned(localizer, sounding, truth, seed, steps):
        taught.append(set(sounding.user.tolist()))
        return Told()

    monkeypatch.setattr(learning, "fine_tuned", tuned)
    found = learning.measure(None, random_sounding(48), random_truth(48))
    assert [k.labels for k in found] == [9, 18, 36]
    assert [k.median for k in found] == pytest.approx([5.0] * 3)
    assert [len(users) for users in taught] == [9, 18, 36]
    assert taught[0] < taught[1] < taught[2]
    assert all(len(users) == 12 and not users & taught[2] for users in asked)
    with pytest.raises(ValueError, match="too few to measure by"):
        learning.measure(None, random_sounding(20), random_truth(20))


def test_the_command_writes_places_and_tells_the_error_to_expect(capsys, tmp_path):
    store = write_miniature(tmp_path / "mini.zarr")
    out = tmp_path / "places.csv"
    small = ["--antennas", "8", "--subcarriers", "32", "--bandwidth", "2e7"]
    assert main(["survey", str(store), "--points", "6", "--out", str(out), *small]) == 0
    told = capsys.readouterr().out
    assert "6 places of" in told
    assert "50 labels" in told
    assert "learnt from: 2 measured curves" in told
    rows = list(csv.DictReader(out.open()))
    assert [row["rank"] for row in rows] == list("123456")
    assert len({row["user"] for row in rows}) == 6
    again = tmp_path / "more.geojson"
    more = ["--labelled", str(out), "--points", "4", "--out", str(again), "--json", *small]
    assert main(["survey", str(store), *more]) == 0
    machines = json.loads(capsys.readouterr().out)
    mapped = json.loads(again.read_text())
    assert not {str(p["user"]) for p in machines["places"]} & {row["user"] for row in rows}
    assert [f["properties"]["rank"] for f in mapped["features"]] == [1, 2, 3, 4]
    assert "local" in mapped["frame"]
    low, middle, high = (
        mapped["expected_median_error"][0][k] for k in ("low_m", "median_m", "high_m")
    )
    assert 0 < low < middle < high
    assert mapped["basis"] == machines["basis"]


def test_measured_csi_without_places_is_surveyed(capsys, tmp_path):
    store = write_measured(tmp_path / "measured.zarr")
    opened = open_paths(store)
    assert opened.labelled.all()
    sounding = chosen_links(opened, np.array([3, 7]), Reading())
    np.testing.assert_allclose(
        truth_of(opened, sounding).position,
        opened.dataset["user_position"].values[sounding.user.numpy()],
    )
    # All of its users have a place already: there is nothing left to survey.
    args = ["survey", str(store), "--no-tuning", "--points", "1", "--out"]
    assert "from 1 to the 0 users heard" in mistake(capsys, *args, tmp_path / "a.csv")


def test_mistakes_on_the_command_line_are_one_line(capsys, tmp_path):
    store = write_miniature(tmp_path / "mini.zarr")
    start = ["survey", store, "--out", tmp_path / "a.csv"]
    assert ".csv or .geojson" in mistake(capsys, "survey", store, "--out", tmp_path / "a.txt")
    (tmp_path / "bad.csv").write_text("name\n1\n")
    assert "no column user" in mistake(capsys, *start, "--labelled", tmp_path / "bad.csv")
    (tmp_path / "far.csv").write_text("user\n999\n")
    assert "has 60" in mistake(capsys, *start, "--labelled", tmp_path / "far.csv")
    assert "no store" in mistake(capsys, "survey", tmp_path, "--out", tmp_path / "a.csv")
