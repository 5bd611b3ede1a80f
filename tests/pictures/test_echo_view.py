"""A link's waves are drawn from the station by the walls to the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from miniature import write_miniature
from radiofix.data.store import PathStore, open_paths
from radiofix.pictures import save
from radiofix.pictures.echo_view import Followed, echo_picture


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PathStore:
    return open_paths(write_miniature(tmp_path_factory.mktemp("echoes") / "miniature.zarr"))


def wave(end: tuple[float, float], fanned: int = 0) -> Followed:
    folded = np.array([[0.0, 0.0], [20.0, 12.0], end])
    return Followed(folded, np.array([40.0, 24.0]), np.tile([5.0, 6.0], (fanned, 1)))


def test_ways_begin_at_the_station_and_end_at_what_is_told(
    store: PathStore, tmp_path: Path
) -> None:
    user = np.array([31.0, -3.0, 1.5])
    strongest, weaker = wave((30.0, -2.0), 3), wave((8.0, 9.0))
    figure = echo_picture(store.map, store.stations[0], user, [strongest, weaker])
    (axes,) = figure.axes
    drawn = [line.get_xydata() for line in axes.get_lines()]
    for one in (strongest, weaker):
        assert any(np.array_equal(line, one.folded) for line in drawn)
    assert any(np.array_equal(line, [user[:2]]) for line in drawn)
    assert any(len(line) == 3 and np.array_equal(line, strongest.fanned) for line in drawn)
    labels = axes.get_legend_handles_labels()[1]
    # Each kind is named once, by the strongest wave.
    assert labels.count("folded at walls") == labels.count("without walls") == 1
    low, high = axes.get_xlim(), axes.get_ylim()
    assert low[0] < 0 < 31 < low[1]
    assert high[0] < -3 < 12 < high[1]
    assert save(figure, tmp_path / "echoes.png").stat().st_size > 5_000


def test_without_walls_or_waves_there_is_nothing_to_draw(store: PathStore) -> None:
    user = torch.zeros(3).numpy()
    with pytest.raises(ValueError, match="the store has no map"):
        echo_picture(None, store.stations[0], user, [wave((1.0, 1.0))])
    with pytest.raises(ValueError, match="the station does not hear this user"):
        echo_picture(store.map, store.stations[0], user, [])
