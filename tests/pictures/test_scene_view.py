"""A scene from above shows every user in the colour of what it receives."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import pytest
import shapely
import zarr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from shapely.geometry import Polygon

from miniature import (
    TOWER,
    USERS,
    WALL_X,
    buildings,
    path_arrays,
    user_position,
    write_measured,
    write_miniature,
)
from radiofix.data.store import PathStore, open_paths
from radiofix.physics.arrays import ula
from radiofix.physics.bounds import of_users
from radiofix.physics.channel import Channel
from radiofix.pictures import save, scene_picture, style
from radiofix.pictures.scene_view import building_outlines
from radiofix.scenes.meshes import ground, prism


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PathStore:
    return open_paths(write_miniature(tmp_path_factory.mktemp("pictures") / "miniature.zarr"))


def _points(figure: Figure) -> dict[str, PathCollection]:
    """The scattered points by the first words of their labels."""
    axes = figure.axes[0]
    found = [c for c in axes.collections if isinstance(c, PathCollection) and len(c.get_offsets())]
    return {str(c.get_label()).split(" (")[0]: c for c in found if c.get_sizes().size}


def _colour(points: PathCollection) -> str:
    return to_hex(points.get_facecolor()[0]).upper()


def _places(points: PathCollection) -> set[tuple[float, float]]:
    return {(float(x), float(y)) for x, y in np.asarray(points.get_offsets())}


def _title(figure: Figure) -> str:
    return figure.get_suptitle()


def test_users_are_coloured_by_line_of_sight_to_the_station(store: PathStore) -> None:
    figure = scene_picture(store.map, colour_by="los", station=0, store=store)
    interactions, place = path_arrays()["interactions"][:, 0], user_position()[:, :2]
    sees, has = (interactions == 0).any(-1), (interactions >= 0).any(-1)
    points = _points(figure)
    for label, chosen, colour in (
        ("line of sight", sees, style.BLUE),
        ("no line of sight", has & ~sees, style.VERMILION),
        ("no path", ~has, style.PALE),
    ):
        assert _places(points[label]) == {(x, y) for x, y in place[chosen].tolist()}
        assert _colour(points[label]) == colour.upper()
    assert _title(figure) == "miniature: line of sight, station west"
    counts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"line of sight ({sees.sum()})" in counts


def test_without_a_station_a_user_sees_if_it_sees_any(store: PathStore) -> None:
    points = _points(scene_picture(store.map, colour_by="los", store=store))
    sees = (path_arrays()["interactions"] == 0).any((1, 2))
    assert sees.all()
    assert len(points["line of sight"].get_offsets()) == USERS
    assert "no path" not in points


def test_power_is_that_of_the_station_in_decibels_on_a_labelled_scale(store: PathStore) -> None:
    figure = scene_picture(store.map, colour_by="power", station=1, store=store)
    gain = path_arrays()["gain"][:, 1].astype(complex)
    power = (np.abs(gain) ** 2).sum(-1)
    level = 10 * np.log10(power[power > 0])
    bar = figure.axes[1]
    assert bar.get_ylabel() == "received power, isotropic [dB]"
    np.testing.assert_allclose(bar.get_ylim(), (level.min(), level.max()), rtol=1e-5)
    assert len(_points(figure)["no path"].get_offsets()) == (power == 0).sum()
    # The strongest user has the last colour of the scale, the weakest the first.
    (users,) = [p for name, p in _points(figure).items() if name.startswith("_child")]
    brightness = np.asarray(users.get_facecolor())[:, :3].sum(-1)
    assert brightness.argmax() == level.argmax()
    assert brightness.argmin() == level.argmin()


def test_paths_are_counted_over_all_stations(store: PathStore) -> None:
    figure = scene_picture(store.map, colour_by="paths", store=store)
    count = (path_arrays()["interactions"] >= 0).sum((1, 2))
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert labels == [str(n) for n in range(count.min(), count.max() + 1)]
    assert _title(figure) == "miniature: number of paths, all stations"


def test_the_least_error_is_drawn_user_by_user_on_a_scale_of_decades(store: PathStore) -> None:
    channel = Channel(20e6, 64, ula(8), snr_db=20.0)
    figure = scene_picture(
        store.map, colour_by="bound:direct", station=0, store=store, channel=channel
    )
    paths = store.links(station=0)
    _, least = of_users(paths[paths.line_of_sight], channel, alone=True)
    told = least[least < 1e4].numpy()
    bar = figure.axes[1]
    assert bar.get_yscale() == "log"
    assert bar.get_ylabel() == "least RMS error of x and y [m]"
    np.testing.assert_allclose(bar.get_ylim(), (told.min(), told.max()), rtol=1e-4)
    bare = _points(figure)["beyond 10 km, or no direct path"]
    assert len(bare.get_offsets()) == USERS - len(told)
    assert _title(figure) == "miniature: bound of the direct path alone, station west"
    with pytest.raises(ValueError, match="needs a channel with noise"):
        scene_picture(store.map, colour_by="bound", store=store)


def test_a_split_is_shown_part_by_part(store: PathStore) -> None:
    figure = scene_picture(store.map, colour_by="split:random", store=store)
    points = _points(figure)
    for part, count in (("train", 30), ("validation", 10), ("test", 20)):
        assert len(points[part].get_offsets()) == count
        rows = store.split("random", part)
        assert _places(points[part]) == {(x, y) for x, y in user_position()[rows, :2].tolist()}
    colours = {_colour(points[part]) for part in ("train", "validation", "test")}
    assert len(colours) == 3


def test_the_plane_is_drawn_true_to_scale_with_units(store: PathStore) -> None:
    axes: Axes = scene_picture(store.map, store=store).axes[0]
    assert axes.get_aspect() == 1.0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x, east [m]", "y, north [m]")
    assert axes.get_xlim()[0] <= WALL_X[0]
    assert axes.get_xlim()[1] >= 60
    names = [text.get_text() for text in axes.texts]
    assert names == ["west", "east"]


def test_footprints_are_the_buildings_seen_from_above_without_the_ground() -> None:
    wall, tower = building_outlines(buildings())
    assert tower.symmetric_difference(shapely.box(*TOWER)).area < 1e-6
    assert wall.area == pytest.approx((WALL_X[1] - WALL_X[0]) * 5)


def test_a_courtyard_stays_open() -> None:
    court = Polygon(shapely.box(0, 0, 30, 20).exterior, [shapely.box(10, 5, 20, 15).exterior])
    meshes = [prism("block", court, 12.0, "brick"), ground((-5.0, -5.0, 40.0, 30.0))]
    (outline,) = building_outlines(meshes)
    assert outline.area == pytest.approx(court.area, rel=1e-6)
    drawn = scene_picture(meshes).axes[0].collections[0].get_paths()[0]
    # What matplotlib fills, by the winding of its rings, is the wall and not the court.
    rings = [Polygon(ring).exterior for ring in drawn.to_polygons()]
    assert sorted(ring.is_ccw for ring in rings) == [False, True]


def test_what_cannot_be_drawn_is_refused_in_one_line(store: PathStore) -> None:
    cases = {
        "colour_by='speed' is not one of": {"colour_by": "speed", "store": store},
        "needs a store": {"colour_by": "los"},
        "station=2 is no column": {"colour_by": "los", "store": store, "station": 2},
        "has no split 'mine'": {"colour_by": "split:mine", "store": store},
        "users has 3 rows, the store 60": {
            "colour_by": "los", "store": store, "users": np.zeros((3, 3)),
        },
    }  # fmt: skip
    for words, arguments in cases.items():
        with pytest.raises(ValueError, match=words) as caught:
            scene_picture(store.map, **arguments)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="nothing to draw"):
        scene_picture(None)


def test_half_a_million_users_are_not_half_a_million_vectors(tmp_path: Path) -> None:
    users = np.random.default_rng(0).uniform(0, 100, (20_000, 3))
    path = save(scene_picture(None, users=users), tmp_path / "many.svg")
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_saved_whole_and_alike_each_time(
    store: PathStore, tmp_path: Path, suffix: str
) -> None:
    first, second = (
        save(scene_picture(store.map, store=store), tmp_path / f"{name}{suffix}") for name in "ab"
    )
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


@pytest.mark.parametrize("lost", [[4, 9], slice(None)])
def test_users_without_a_position_are_left_out_of_the_picture(
    tmp_path: Path, lost: list[int] | slice
) -> None:
    path = write_measured(tmp_path / "measured.zarr")
    zarr.open_array(path / "user_position", mode="r+")[lost] = np.nan
    measured = open_paths(path)
    figure = scene_picture(None, store=measured)
    drawn = _points(figure)
    left = int(measured.labelled.sum())
    assert len(_places(drawn["user"]) if left else []) == left
    assert np.isfinite(figure.axes[0].get_xlim()).all()
    assert save(figure, tmp_path / "measured.png").stat().st_size > 0


def test_another_suffix_is_refused_and_nothing_is_written(store: PathStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scene.pdf is no picture's name: end it in .png or .svg"):
        save(scene_picture(store.map, store=store), tmp_path / "scene.pdf")
    assert not list(tmp_path.iterdir())


def test_a_picture_that_fails_on_the_way_leaves_the_old_one(
    store: PathStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(b"old")

    def torn(self: Figure, target: IO[bytes], **_: object) -> None:
        target.write(b"half")
        raise OSError("disk full")

    figure = scene_picture(store.map, store=store)
    monkeypatch.setattr(Figure, "savefig", torn)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
