"""One link's picture: paths where they run, CSI where its power is."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from miniature import STATION_POSITION, WALL_Y, path_arrays, write_measured, write_miniature
from radiofix.data.store import PathStore, open_paths
from radiofix.pictures import link_picture, style
from radiofix.pictures.link_view import delay_angle_profile, meeting_points

USER = 10
"""Has all four paths to station 0."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PathStore:
    return open_paths(write_miniature(tmp_path_factory.mktemp("pictures") / "miniature.zarr"))


def _wave(delay_bin: int, sine: float, antennas: int = 8, subcarriers: int = 16) -> torch.Tensor:
    """A single path exactly on a delay bin, by the channel's equation at half a wavelength."""
    antenna = torch.arange(antennas, dtype=torch.float64)[:, None]
    cycles = antenna * sine / 2 - torch.arange(subcarriers) * delay_bin / subcarriers
    return torch.exp(2j * torch.pi * cycles)


def _axes(figure: Figure, title: str) -> Axes:
    (found,) = [a for a in figure.axes if a.get_title(loc="left").startswith(title)]
    return found


def test_single_bounces_meet_on_the_surface_that_reflects_them(store: PathStore) -> None:
    paths = store.links([USER], 0)
    meeting = meeting_points(paths)
    bounces = paths.interactions[0].numpy()
    touched = meeting[bounces == 1]
    on_wall = np.abs(touched[:, 1] - WALL_Y) < 0.01
    on_ground = np.abs(touched[:, 2]) < 0.01
    assert sorted((on_wall.sum(), on_ground.sum())) == [1, 1]
    assert (on_wall | on_ground).all()
    # Line of sight has no such point, and two bounces have no single one.
    assert np.isnan(meeting[bounces != 1]).all()
    legs = np.linalg.norm(touched - paths.user_position[0].numpy(), axis=-1)
    legs += np.linalg.norm(touched - STATION_POSITION[0], axis=-1)
    np.testing.assert_allclose(legs, paths.delay[0].numpy()[bounces == 1] * 299_792_458, rtol=1e-5)


def test_ends_that_do_not_fit_the_delay_do_not_meet(store: PathStore) -> None:
    paths = store.links([USER], 0)
    bounces = paths.interactions[0].numpy()
    paths.delay[:] *= 1.5
    assert np.isnan(meeting_points(paths)[bounces == 1]).all()


def test_paths_from_above_have_the_kind_and_the_corners_they_should(store: PathStore) -> None:
    axes = _axes(link_picture(store, USER, 0), "paths from above")
    lines = defaultdict(list)
    for line in axes.lines:
        lines[line.get_gid(), line.get_linestyle()].append(line)
    assert {key: len(found) for key, found in lines.items()} == {
        ("line of sight", "-"): 1,
        ("one bounce", "-"): 2,
        ("more bounces", "--"): 2,
    }
    (sight,) = lines["line of sight", "-"]
    ends = np.stack(sight.get_data(), axis=-1)
    user = store.dataset["user_position"].values[USER, :2]
    np.testing.assert_allclose(ends, [STATION_POSITION[0, :2], user])
    assert to_hex(sight.get_color()).upper() == style.BLUE
    highest = max(np.max(line.get_ydata()) for line in lines["one bounce", "-"])
    assert highest == pytest.approx(WALL_Y, abs=0.01)
    assert axes.get_aspect() == 1.0
    assert axes.get_xlabel() == "x, east [m]"


def test_delays_and_powers_of_the_paths_are_the_stores(store: PathStore) -> None:
    axes = _axes(link_picture(store, USER, 0), "paths over delay")
    marks = np.concatenate(
        [dots.get_offsets() for dots in axes.collections if isinstance(dots, PathCollection)]
    )
    arrays = path_arrays()
    gain, delay = arrays["gain"][USER, 0], arrays["delay"][USER, 0]
    expected = np.stack([delay * 1e9, 20 * np.log10(np.abs(gain))], axis=-1)
    np.testing.assert_allclose(
        marks[np.argsort(marks[:, 0])], expected[np.argsort(delay)], rtol=1e-4
    )
    assert axes.get_xlabel() == "delay [ns]"
    assert "[dB]" in axes.get_ylabel()
    assert [child.get_xlabel() for child in axes.child_axes] == ["range [m]"]


@pytest.mark.parametrize(("delay_bin", "sine"), [(3, 0.5), (0, -0.25), (15, 0.0), (7, 1.0)])
def test_the_profile_of_one_path_peaks_at_its_delay_and_angle(delay_bin: int, sine: float) -> None:
    csi = _wave(delay_bin, sine)
    level, sines = delay_angle_profile(csi)
    row, column = np.unravel_index(level.argmax(), level.shape)
    assert column == delay_bin
    assert sines[row] == pytest.approx(sine)
    # The transform is unitary: one bin holds the power of all 8 x 16 elements.
    assert 10 ** (level.max() / 10) == pytest.approx(8 * 16)
    assert (np.diff(sines) > 0).all()


def test_a_picture_with_csi_shows_it_with_delay_range_and_angle(store: PathStore) -> None:
    csi = _wave(3, 0.5)
    figure = link_picture(store, USER, 0, csi, bandwidth=100e6)
    image = _axes(figure, "|CSI|").images[0]
    np.testing.assert_allclose(image.get_array(), np.zeros((8, 16)), atol=1e-9)
    profile = _axes(figure, "delay-angle profile")
    assert (profile.get_xlabel(), profile.get_ylabel()) == (
        "delay [ns]",
        "angle off broadside [deg]",
    )
    mesh = profile.collections[0]
    level = np.asarray(mesh.get_array())
    row, column = np.unravel_index(level.argmax(), level.shape)
    # Bin 3 at 100 MHz is 30 ns; the rows run over -1 ... 1 in steps of 0.25.
    corners = mesh.get_coordinates()
    middle = (corners[row, column] + corners[row + 1, column + 1]) / 2
    np.testing.assert_allclose(middle, [30.0, 0.5], atol=1e-6)
    # -1 and +1 alias at half a wavelength: the same row is shown at both ends.
    edges = corners[:, 0, 1]
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, np.linspace(-1, 1, 9), atol=1e-12)
    np.testing.assert_allclose(level[0], level[-1])
    assert figure.get_suptitle() == "miniature: user 10, station west"


def test_circles_lie_on_the_power_of_the_paths(tmp_path: Path, store: PathStore) -> None:
    measured = open_paths(write_measured(tmp_path / "measured.zarr", 64, 64))
    csi = measured.csi([USER], 0).values[0]
    profile = _axes(link_picture(store, USER, 0, csi, bandwidth=20e6), "delay-angle profile")
    circles = np.asarray(profile.collections[1].get_offsets())
    arrays = path_arrays()
    turn = np.sin(arrays["station_zenith"]) * np.sin(arrays["station_azimuth"])
    np.testing.assert_allclose(circles[:, 0], arrays["delay"][USER, 0] * 1e9, rtol=1e-5)
    np.testing.assert_allclose(circles[:, 1], turn[USER, 0], atol=1e-6)
    level, sines = delay_angle_profile(csi)
    row, column = np.unravel_index(level.argmax(), level.shape)
    # Bins are 50 ns and 1/32 wide: the peak is within one of the strongest path's circle.
    assert abs(column * 50 - circles[0, 0]) <= 50
    assert abs(sines[row] - circles[0, 1]) <= 1 / 32


def test_a_link_without_paths_says_so(store: PathStore) -> None:
    without = (path_arrays()["interactions"] < 0).all(-1)
    user, station = map(int, np.argwhere(without)[0])
    axes = _axes(link_picture(store, user, station), "paths over delay")
    assert [text.get_text() for text in axes.texts] == ["no path"]


def test_a_measured_link_is_drawn_from_its_own_csi(tmp_path: Path) -> None:
    store = open_paths(write_measured(tmp_path / "measured.zarr"))
    figure = link_picture(store, USER, 1)
    level = 20 * np.log10(np.abs(store.dataset["csi"].values[USER, 1].astype(complex)))
    np.testing.assert_allclose(_axes(figure, "|CSI|").images[0].get_array(), level, rtol=1e-6)
    # 20 MHz over 16 subcarriers: the last delay bin is 15 / 20 MHz.
    mesh = _axes(figure, "delay-angle profile").collections[0].get_coordinates()
    assert mesh[0, -1, 0] == pytest.approx((15 + 0.5) * 50, rel=1e-3)


def test_what_is_no_link_or_no_csi_is_refused_in_one_line(store: PathStore) -> None:
    csi = _wave(1, 0.0)
    for words, call in {
        "user=60 is not in the store: give 0 to 59": lambda: link_picture(store, 60, 0),
        "station=-1 is not in the store": lambda: link_picture(store, 0, -1),
        "bandwidth=None must be positive": lambda: link_picture(store, 0, 0, csi),
        r"csi is torch.float64 \(8, 16\)": lambda: link_picture(
            store, 0, 0, csi.abs(), bandwidth=1e6
        ),
        r"csi is torch.complex128 \(1, 8, 16\)": lambda: link_picture(
            store, 0, 0, csi[None], bandwidth=1e6
        ),
        "spacing=0 must be positive": lambda: link_picture(
            store, 0, 0, csi, bandwidth=1e6, spacing=0.0
        ),
    }.items():
        with pytest.raises(ValueError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
