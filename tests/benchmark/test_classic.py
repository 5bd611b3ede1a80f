"""Rates of methods without a network are measured on channels that a store has."""

import pytest

import miniature
from radiofix.benchmark import classic
from radiofix.benchmark.classic import measure
from radiofix.cli import main
from radiofix.data.store import open_paths


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return miniature.write_miniature(tmp_path_factory.mktemp("classic") / "street.zarr")


def test_each_method_s_rate_is_links_over_the_seconds_that_they_took(store, monkeypatch):
    ticks = iter(range(0, 10_000, 2))
    monkeypatch.setattr(classic.time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(classic, "VALIDATION", 5)
    found = measure(open_paths(store), links=10, labels=20, station=0, repeats=3)
    assert set(found["links_per_s"]) == {"NOMP", "OMP", "MUSIC", "kNN"}
    # A tick of two seconds for each, whatever it was.
    assert all(rate == found["links"] / 2 for rate in found["links_per_s"].values())
    assert 0 < found["links"] <= 10


def test_what_a_store_cannot_give_is_told_in_one_line(store, capsys):
    for more, message in (
        (["--links", "100000"], "ask for fewer links or labels"),
        (["--station", "99"], "has columns 0 to"),
    ):
        assert main(["bench", "classic", str(store), *more]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1
