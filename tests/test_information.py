"""The page on the information argument tells what was measured."""

import json
from pathlib import Path

import pytest

from radiofix.benchmark.latent import tables
from radiofix.objectives.picl import bound

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/information.md").read_text()
FOUND = json.loads((ROOT / "results/latent.json").read_text())


def test_the_page_holds_the_tables_of_the_results():
    for table in tables(FOUND):
        assert table in PAGE, table.splitlines()[0]


def test_the_pictured_links_are_told_with_their_figures():
    text = " ".join(PAGE.split())
    (masked,) = FOUND["pictured"]["masked"]
    errors = masked["hidden_nmse"]
    assert f"hidden NMSE {errors['model']:.3f}, one path {errors['one path']:.3f}" in text
    away = [f"{link['dissimilarity']:.3f}" for link in FOUND["pictured"]["delay_angle"]]
    assert f"dissimilarity {', '.join(away[:2])} and {away[2]}" in text
    for name in ("losses", "masked", "delay-angle", "latent"):
        assert f"(pictures/pretraining-{name}.png)" in PAGE
        assert (ROOT / f"docs/pictures/pretraining-{name}.png").is_file()


def test_what_was_measured_holds_together():
    curves, batch = FOUND["curves"], FOUND["recipe"]["training"]["batch"]
    assert curves["bound"] == pytest.approx([bound(loss, batch) for loss in curves["picl"]])
    for row in FOUND["contrast"]:
        assert row["bound"] <= row["most"]
        # NT-Xent is over both views of the others: log 2 harder to a guesser.
        assert row["nt_xent"] > row["info_nce"]
