"""The README's numbers are those of the committed results, and its code runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import pages
import radiofix
from miniature import write_miniature
from radiofix.benchmark.pretraining import every
from radiofix.benchmark.pretraining_table import markdown, rows, settled
from radiofix.benchmark.report import gather
from radiofix.benchmark.sigmap.paper import PAPER_FIGURES
from radiofix.benchmark.sigmap.protocols import BY_NAME

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def result(name):
    return json.loads((ROOT / "results" / name).read_text())


def compared_row(condition, labels, method):
    """Of the table of `bench pretraining --compare`."""
    key = condition, labels, method
    table = settled(rows(every(ROOT / "results/pretraining")))
    return next(r for r in table if (r.condition, r.labels, r.method) == key)


def test_the_whole_scenarios_size_and_time_are_those_measured():
    whole = result("o1-v1.json")
    assert whole["info"]["users"] == 488_700
    assert f"{whole['seconds'] / 60:.0f} min, {whole['info']['bytes'] / 1e6:.0f} MB" in README
    assert len(whole["info"]["sha256"]) >= 12


def test_the_size_with_five_paths_is_the_one_measured():
    five = result("o1-v1.json")["with_5_paths"]
    size = f"{five['bytes'] / 1e6:.0f} MB"
    assert f"| The same with 5 paths, cut from it | {size} |" in README
    assert f"{size} with 5" in (ROOT / "docs/design.md").read_text()
    assert "cut from the 8-path store" in five["how"]


def test_tracing_20000_users_took_what_the_table_says():
    part = result("trace-o1-20k.json")
    assert f"| {part['seconds']:.0f} s, {part['max_resident_gb']:.1f} GB of memory |" in README


def test_the_rate_of_channels_is_the_one_measured():
    measured = result("bench-channel.json")
    rates = [run["links_per_s"] for run in measured["runs_two_threads"]]
    assert f"{measured['run_one_thread']['links_per_s']:,.0f} links a second on one" in README
    assert f"{min(rates):,.0f} to {max(rates):,.0f} on two" in README


def test_methods_without_a_network_are_as_fast_as_measured():
    rates = result("bench-classic.json")["found"]["links_per_s"]
    told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    assert f"| {told} links a second |" in README


def test_training_is_as_fast_as_measured_and_costs_no_more_than_its_layers_allow():
    measured = result("bench-train.json")
    base, nano = measured["lwlm_base"][0], measured["radiofix_nano"][0]
    for run, digits in ((base, 1), (nano, 0)):
        rate = f"{run['samples_per_s']:.{digits}f} samples a second"
        assert f"| {rate}, {run['ratio']:.2f} times the bare torch layers |" in README
        assert run["ratio"] <= 1.25
    assert base["samples_per_s"] >= 8


def test_positions_without_a_label_are_as_good_as_measured():
    found = result("radiofix-nano-zero-labels.json")["evaluate"]
    assert f"{found['median']:.1f} m at the median, {found['mean']:.1f} m mean" in README
    assert f"ellipses hold {100 * found['held_at_90']:.0f} %" in README


def test_what_stations_agree_on_and_what_it_teaches_is_as_measured():
    rows = {(r["bandwidth"], r["kept"]): r for r in result("witnesses.json")["rows"]}
    everyone, most = rows[50e6, 1.0], rows[50e6, 0.9]
    assert f"{everyone['median']:.2f} m at the median, {everyone['mean']:.2f} m mean" in README
    assert f"{most['mean']:.2f} m for the 90 % on whom they agree" in README
    found = result("radiofix-nano-o1-zero-labels.json")["evaluate"]
    told = f"{found['median']:.2f} m at the median, {found['p90']:.1f} m at 90 %"
    assert f"{told}, {found['mean']:.2f} m mean" in README
    scratch = compared_row("region-clean", 1_000, "scratch")
    assert f"{scratch.median:.2f}, {scratch.p90:.1f} and {scratch.mean:.2f} m" in README
    assert scratch.seeds == 3


def test_combs_cost_what_was_measured():
    page = (ROOT / "docs/channels.md").read_text()
    for row in result("combs.json")["rows"]:
        every = {1: "subcarrier", 2: "second", 4: "fourth", 8: "eighth"}[row["every_subcarrier"]]
        figures = [row[k][q] for k in ("bridged", "gaps") for q in ("mean", "median", "p90")]
        assert f"| {every} | {' | '.join(f'{f:.2f}' for f in figures)} |" in page
    noisy = [row["bridged"] for row in result("combs.json")["noisy"]["rows"]]
    every, eighth = (f"{row['mean']:.2f} and {row['median']:.2f} m" for row in noisy)
    assert (
        f"{every} at the mean and the median with every pilot, {eighth} with every eighth" in page
    )
    one, four, eight = (
        f"{row['mean']:.1f} and {row['median']:.2f} m"
        for row in result("combs.json")["cities"]["rows"]
    )
    told = f"{one} off at the\nmean and the median with every pilot, {four} with every fourth, "
    assert f"{told}{eight} with every eighth" in page
    joined = [row["joined"]["mean"] for row in result("combs.json")["cities"]["rows"]]
    assert "{:.1f}, {:.1f} and {:.1f} m at the mean.".format(*joined) in page


def test_what_250_labels_give_is_as_measured():
    for condition in ("region-clean", "region-noisy", "region-hidden"):
        pair = [compared_row(condition, 250, method) for method in ("witnessed", "scratch")]
        assert "{:.2f} and {:.2f} m".format(*(row.mean for row in pair)) in README
        assert [row.seeds for row in pair] == [3, 3]


def test_what_telling_stations_apart_brought_is_as_measured():
    text = " ".join((ROOT / "docs/training.md").read_text().split())
    told, before = (
        torch.tensor(
            result(f"pretraining/region-clean/{name}-0-seed0-rate0.0003-steps0.json")["errors"]
        ).double()
        for name in ("witnessed", "anonymous")
    )
    assert f"{told.mean():.2f} m in place of {before.mean():.2f}" in text
    # Of 4,000 users: 0.15 % and 0.825 %.
    assert [int((errors > 50).sum()) for errors in (told, before)] == [6, 33]
    assert "0.15 % in place of 0.83 %" in text


def test_the_speeds_of_the_server_are_those_measured():
    page = " ".join((ROOT / "docs/serving.md").read_text().split())
    one, four = result("serve.json"), result("serve-4-links.json")
    capacity, overload = one["capacity"], one["overload"]
    assert f"one fix in {one['one_fix']['p50_ms']:.2f} ms at the median" in page
    assert f"`locate` {one['locate']['links_per_s']:,.0f} links a second" in page
    told = f"{capacity['links_per_s']:.0f} links a second one by one, 99 % answered within"
    assert f"{told} {capacity['p99_ms']:.0f} ms" in page
    assert one["plan"]["overload_seconds"] == 300
    told = f"sends {100 * overload['shed_share']:.0f} % away, answers {overload['links_per_s']:.0f}"
    assert f"{told} links a second, 99 % of them within {overload['p99_ms'] / 1000:.2f} s" in page
    assert f"grows by {overload['memory_mb']['growth']:.0f} MB" in page
    capacity = four["capacity"]
    told = f"it locates {capacity['links_per_s']:.0f} links a second, 99 % within"
    assert f"{told} {capacity['p99_ms']:.0f} ms" in page


def test_what_malformed_requests_did_is_as_measured():
    page = " ".join((ROOT / "docs/serving.md").read_text().split())
    found = result("malformed.json")
    assert found["well"]
    assert found["requests"] == 10_000
    assert not any(status.startswith("5") for status in found["statuses"])
    assert f"the server grew by {found['growth_mb']:.1f} MB" in page


def test_the_table_of_the_protocol_is_that_of_its_files():
    table = (ROOT / "results/pretraining/table.md").read_text().strip()
    assert table == markdown(rows(every(ROOT / "results/pretraining"))).strip()


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.stem)
def test_marked_parts_of_the_pages_are_what_the_results_hold(page):
    text = page.read_text()
    assert len(pages.MARKED.findall(text)) >= 2
    assert pages.filled(text) == text


def test_the_tables_of_sigmaps_page_are_whole():
    page = (ROOT / "docs/sigmap-results.md").read_text()
    found = {mark: text.strip().splitlines() for _, mark, text, _ in pages.MARKED.findall(page)}
    assert {"table1 region", "table1 random", "table4 region"} <= set(found)
    for question, methods in (("position", 11), ("fusion", 6)):
        head, _, *rows = found[f"cities {question}"]
        assert head.count("|") == 1 + 1 + 7 + 2
        assert len(rows) == methods
    curves = {mark.split()[1]: lines for mark, lines in found.items() if mark.startswith("curve ")}
    assert set(curves) == {"table1-none-snr", "table1-none-map", "maps-off"}
    for name, (head, _, *rows) in curves.items():
        xs = [float(x) for x in re.findall(r"([\d.]+) (?:dB|m) \|", head)]
        assert xs == sorted({point.x for point in BY_NAME[name].points})
        assert len(rows) == 3


def test_a_page_of_older_results_is_filled_anew(tmp_path, monkeypatch, capsys):
    told = (ROOT / "docs/sigmap-results.md").read_text()
    mark = "<!-- table1 region -->"
    before, after = told.split(mark)
    old = before + mark + re.sub(r"\d", "7", after, count=20)
    page = tmp_path / "page.md"
    page.write_text(old)
    monkeypatch.setattr(pages, "PAGES", (page,))
    assert pages.main(["--check"]) == 1
    assert "page.md is not what results/ holds" in capsys.readouterr().out
    assert page.read_text() == old
    assert pages.main([]) == 0
    assert page.read_text() == told


def test_curves_of_sigmaps_page_are_of_one_seed_as_it_says():
    figures = {f.name: f for f in gather(ROOT / "results/sigmap-laptop").figures}
    page = (ROOT / "docs/sigmap-results.md").read_text()
    told = re.findall(r"<!-- curve ([\w-]+) ", page)
    assert told == ["table1-none-snr", "table1-none-map", "maps-off"]
    assert {cell.seeds for name in told for cell in figures[name].cells} == {(0,)}


def test_what_few_labels_of_a_street_give_is_what_the_bench_found():
    told = " ".join(README.split())
    cells = {
        (cell.figure, cell.x, cell.method): cell.value
        for figure in gather(ROOT / "results/lwlm-laptop", ["fig10a", "fig10b"]).figures
        for cell in figure.at("region")
    }
    few = cells["fig10b", 250, "radiofix-nano"]
    nothing = cells["fig10a", 10_000, "radiofix-nano-scratch"]
    assert f"is {few:.2f} m off at the mean with 250 labels" in told
    assert f"from nothing {nothing:.2f} m with 10,000" in told


def test_what_is_said_of_the_papers_random_split_is_what_its_bench_found():
    told = " ".join(README.split())
    cells = {
        (cell.figure, cell.x): cell.value
        for figure in gather(ROOT / "results/lwlm-laptop").figures
        for cell in figure.cells
        if (cell.split, cell.method) == ("random", "radiofix-nano")
    }
    few, many, four = (
        cells[at] for at in (("fig10b", 2000), ("fig10b", 10_000), ("fig11c", 10_000))
    )
    one = f"{few:.2f} m mean with 2,000 labels, {many:.2f} with 10,000"
    assert f"station 3: {one}; four stations: {four:.2f} m." in told


def test_what_the_map_of_a_new_city_is_worth_is_as_the_bench_found_it():
    (figure,) = gather(ROOT / "results/sigmap-laptop", ["maps"]).figures
    found = {
        cell.method: (cell.value, float(np.median(cell.error))) for cell in figure.at("region")
    }
    mean, middle = found["cities-echoes"]
    parts = [f"{mean:.1f} m mean, {middle:.1f} at the median"]
    for told, name in (
        ("no map {} and {}", "cities-waves"),
        ("a wrong one {} and {}", "cities-echoes-asked-other"),
        ("NOMP folded at the walls, {} and {}", "NOMP-map"),
    ):
        parts.append(told.format(*(f"{value:.1f}" for value in found[name])))
    half = (
        f"half of the users whom a station hears are placed within {middle:.1f} m by one station "
        f"({mean:.1f} m"
    )
    for part in (*parts, half):
        assert part in " ".join(README.split()), part


def test_what_100_labels_of_a_new_city_give_is_what_the_bench_found():
    (figure,) = gather(ROOT / "results/sigmap-laptop", ["table4"]).figures
    found = {cell.method: cell for cell in figure.at("region")}
    ours, nearest = found["cities-echoes"], found["kNN"]
    told = f"{ours.value:.1f} m mean, {np.median(ours.error):.2f} at the median"
    beside = f"kNN on the same labels {nearest.value:.1f} and {np.median(nearest.error):.1f}"
    assert f"| {told}; {beside} |" in README


def test_what_o1_gives_without_a_label_is_as_the_bench_found_it():
    (figure,) = gather(ROOT / "results/sigmap-laptop", ["table2-none"]).figures
    found = {cell.method: cell for cell in figure.at("random")}
    ours, wrong = found["cities-echoes"], found["cities-echoes-asked-other"]
    told = f"{ours.value:.2f} m mean, {100 * np.mean(ours.error < 1):.0f} % within 1 m"
    assert f"| {told}; told another city's map {wrong.value:.1f} m." in README
    assert f"users are {ours.value:.2f} m off at the mean by four stations" in " ".join(
        README.split()
    )
    (mean, share) = (
        p
        for p in PAPER_FIGURES
        if (p.figure, p.method) == ("table2", "SigMap") and p.statistic != "rmse"
    )
    assert f"{mean.low:.3f} m, {100 * share.low:.1f} %" in README


def test_what_several_stations_of_a_new_city_say_together_is_as_the_bench_found_it():
    (figure,) = gather(ROOT / "results/sigmap-laptop", ["together"]).figures
    found = {
        cell.method: (cell.value, float(np.median(cell.error))) for cell in figure.at("region")
    }
    mean, middle = found["cities-echoes"]
    assert f"{mean:.1f} m mean, {middle:.2f} at the median; NOMP and" in README
    assert f"within {middle:.2f} m by all that hear them ({mean:.1f} m)" in " ".join(README.split())
    mean, middle = found["NOMP"]
    assert f"multilateration without a map {mean:.1f} and {middle:.1f}" in README


def test_what_a_new_city_needs_is_told_as_it_was_found():
    page = (ROOT / "docs/map-prompts.md").read_text()
    for labels in (0, 100):
        kept = result(f"radiofix-cities-kept-1-{labels}-labels.json")
        found = kept["evaluate"]
        assert f"{found['mean']:.1f}" in page
        assert f"{found['median']:.2f}" in page
        assert f"{found['p90']:.1f}" in page
    assert kept["finetune_seconds_wall"] < 120
    assert f"{kept['finetune_seconds_wall']:.0f} s on two cores" in page


def labels_at_once():
    """The table of docs/results.md: mean errors by labels, split and method [m]."""
    (figure,) = gather(ROOT / "results/lwlm-laptop", ["fig10b"]).figures
    each = [
        {cell.x: cell for cell in figure.of(split, name)}
        for split in ("random", "region")
        for name in ("radiofix-nano", "radiofix-nano-kriged", "radiofix-nano-at-once")
    ]
    return [
        f"| {labels:,.0f} | {' | '.join(f'{cells[labels].value:.2f}' for cells in each)} |"
        for labels in (250, 1_000, 2_000, 10_000)
    ]


def test_labels_at_once_are_told_as_the_bench_found_them():
    page = (ROOT / "docs/results.md").read_text()
    assert "\n".join(labels_at_once()) in page
    kriged, alone = labels_at_once()[-1].strip("|").split("|")[2:4]
    told = " ".join(README.split())
    assert f"10,000 labels: {kriged.strip()} m mean, {alone.strip()} without a step" in told


@pytest.mark.parametrize(
    ("told", "file"),
    [
        (
            "nothing | 4,800 | 3e-4",
            "pretraining/random-clean/scratch-10000-seed0-rate0.0003-steps4800",
        ),
        (
            "witnessed | 4,800 | 3e-4",
            "pretraining/random-clean/witnessed-10000-seed0-rate0.0003-steps4800",
        ),
        ("witnessed | 14,400 | 1e-3", "radiofix-nano-o1-10000-labels-14400-steps"),
    ],
)
def test_how_far_training_goes_is_as_the_runs_say(told, file):
    found = result(f"{file}.json")
    run, errors = found["run"], np.array(found["errors"])
    assert f"{run['steps']:,} | {run['rate']:.0e}".replace("e-0", "e-") in told
    assert len(errors) == 4000
    mean, median, ninth = errors.mean(), np.median(errors), np.quantile(errors, 0.9)
    row = f"| {told} | {mean:.2f} m | {median:.2f} | {ninth:.2f} "
    row += f"| {found['toa']:.2f} m | {found['aoa']:.2f}° | {found['seconds'] / 60:.0f} min |"
    assert row in (ROOT / "docs/results.md").read_text()


@pytest.mark.parametrize(
    ("begun", "steps", "file"),
    [("witnessed", "30,000", ""), ("witnessed, five paths", "9,600", "-five-paths")],
)
def test_the_longest_training_is_told_as_it_was_found(begun, steps, file):
    found = result(f"radiofix-nano-o1-10000-labels{file}.json")
    assert f"training.steps={steps.replace(',', '')} training.rate=1e-3" in found["commands"][1]
    figures, implied = found["figures"], found["figures"]["implied"]
    page = (ROOT / "docs/results.md").read_text()
    row = f"| {figures['mean']:.2f} m | {figures['median']:.2f} | {figures['p90']:.2f} "
    row += f"| {implied['toa_median']:.2f} m | {implied['aoa_median']:.2f}° |"
    assert f"| {begun} | {steps} | 1e-3 {row}" in page
    if file:
        told = f"{figures['mean']:.2f} m mean, {figures['median']:.2f} at the median; medians of "
        told += f"times {implied['toa_median']:.2f} m, of angles {implied['aoa_median']:.2f}°"
        assert told in README
        assert f"{found['seconds'] / 60:.0f} min, in 32 bits" in page


def test_long_training_on_every_fifth_pilot_is_told_as_it_was_found():
    found = result("radiofix-nano-o1-10000-labels-every-fifth-pilot.json")
    figures, implied = found["figures"], found["figures"]["implied"]
    page = " ".join((ROOT / "docs/results.md").read_text().split())
    told = f"{found['seconds'] / 60:.0f} min of a core beside other work) it is at "
    told += f"{figures['mean']:.1f} m, {figures['median']:.2f} at the median, where the paper"
    assert told in page
    told = f"times are {implied['toa_median']:.2f} m off at the median, angles "
    told += f"{implied['aoa_median']:.2f}°, but {implied['aoa_mean']:.1f}° at the mean"
    assert told in page


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md", "docs/channels.md"])
def test_the_python_of_the_pages_runs(page, tmp_path, monkeypatch):
    write_miniature(tmp_path / "o1.zarr")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, page, "exec"), names)
        assert names["rf"] is radiofix
        if "csi" in names:
            csi = names["csi"]
            assert isinstance(csi, torch.Tensor)
            assert csi.shape[1:] == (32, 128)
            assert torch.isfinite(torch.view_as_real(csi)).all()
