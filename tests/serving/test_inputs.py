"""The same channels give the same fixes, however they come; what is wrong is told in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from miniature import write_miniature
from radiofix.data.store import open_paths
from radiofix.models.echo_head import WaveHead
from radiofix.models.fusing import Fusion
from radiofix.models.localizer import Localizer
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.physics.arrays import ula
from radiofix.physics.channel import AliasWarning, Channel
from radiofix.serving import soundings
from radiofix.serving.locating import locate, open_source
from radiofix.serving.sites import site_of
from radiofix.serving.soundings import Reading
from serving.walks import (
    located,
    measured,
    positions,
    small_model,
    write_hdf5,
    write_mat,
    write_mat73,
    write_npz,
)

WRITERS = {"a.npz": write_npz, "a.h5": write_hdf5, "a.mat": write_mat, "b.mat": write_mat73}


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def expected(site, model):
    """Straight from the store, one link at a time by hand."""
    store, _ = site
    csi = store.csi()
    channel = Channel(20e6, 16, ula(8))
    stations = [store.stations[int(s)] for s in csi.station]
    heard = csi.values.abs().flatten(1).amax(1) > 0
    fix = model.locate(csi.values, stations, channel)
    return fused(fix, (store.users, len(store.stations)), heard).position


def fused(fix, shape, heard=None):
    return Fusion().fuse(
        fix.position.reshape(*shape, 3).numpy(),
        fix.covariance.reshape(*shape, 3, 3).numpy(),
        np.ones(shape, dtype=bool) if heard is None else heard.reshape(shape).numpy(),
        fix.trusted.reshape(shape).numpy(),
    )


def same(found, expected):
    return np.allclose(found, expected, atol=2e-3, equal_nan=True)


def test_a_store_is_located_link_by_link_and_fused(site, model, expected):
    store, _ = site
    assert same(positions(located(store.path, model)), expected)


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_stores_fixes(tmp_path, site, model, expected, name):
    path = WRITERS[name](tmp_path / name, site[1])
    assert same(positions(located(path, model)), expected)


def test_descending_frequencies_and_missing_subcarriers_give_the_same_fixes(tmp_path, site, model):
    arrays = {**site[1], "csi": site[1]["csi"].copy()}
    arrays["csi"][..., 8] = 0
    expected = positions(located(write_npz(tmp_path / "whole.npz", arrays), model))
    rest = [k for k in range(16) if k != 8][::-1]
    few = {**arrays, "csi": arrays["csi"][..., rest], "frequency": arrays["frequency"][rest]}
    path = write_npz(tmp_path / "few.npz", few)
    assert same(positions(located(path, model)), expected)
    few["frequency"] = few["frequency"] + np.linspace(0, 1e6, 15) ** 2 * 1e-6
    with pytest.raises(ValueError, match="Hz apart lie on no regular grid: interpolate"):
        located(write_npz(tmp_path / "bent.npz", few), model)


def test_one_subcarrier_is_refused(tmp_path, site, model):
    one = {**site[1], "csi": site[1]["csi"][..., :1], "frequency": site[1]["frequency"][:1]}
    with pytest.raises(ValueError, match="one subcarrier tells no delay: give at least 2"):
        located(write_npz(tmp_path / "one.npz", one), model)


@pytest.mark.parametrize("name", ["store", *WRITERS])
def test_small_blocks_give_the_same_fixes_as_one(
    tmp_path, monkeypatch, site, model, expected, name
):
    path = site[0].path if name == "store" else WRITERS[name](tmp_path / name, site[1])
    monkeypatch.setattr(soundings, "BLOCK_BYTES", 7 * 2 * 8 * 16 * 8)
    blocks = located(path, model)
    assert [len(block) for block in blocks] == [7] * 8 + [4]
    assert same(positions(blocks), expected)
    assert np.concatenate([b.user for b in blocks]).tolist() == list(range(60))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "axes", ["user station antenna subcarrier", "subcarrier station 1 antenna user"]
)
def test_axes_come_in_any_order_and_names_are_the_users_own(
    tmp_path, monkeypatch, site, model, expected, axes, order
):
    monkeypatch.setattr(soundings, "BLOCK_BYTES", 7 * 2 * 8 * 16 * 8)
    letters = {"user": "u", "station": "s", "antenna": "a", "subcarrier": "k", "1": ""}
    turned = np.einsum(f"usak->{''.join(letters[a] for a in axes.split())}", site[1]["csi"])
    if "1" in axes:
        turned = turned[:, :, None]
    rest = {name: values for name, values in site[1].items() if name != "csi"}
    parts = {"re": np.asarray(turned.real, order=order), "im": np.asarray(turned.imag, order=order)}
    path = write_npz(tmp_path / "a.npz", rest | parts)
    reading = Reading(names=(("csi_real", "re"), ("csi_imag", "im")), axes=axes)
    assert same(positions(located(path, model, reading)), expected)


def test_a_row_a_packet_is_joined_by_user_and_time(tmp_path, monkeypatch, site, model, expected):
    """The measured links in a list, as a logger writes them."""
    monkeypatch.setattr(soundings, "BLOCK_BYTES", 5 * 2 * 8 * 16 * 8)
    arrays = dict(site[1])
    csi = arrays.pop("csi")
    heard = np.abs(csi).max((2, 3)) > 0
    user, station = np.nonzero(heard)
    arrays |= {"csi": csi[user, station], "user": user + 100, "station": station}
    arrays["time"] = user * 0.5
    blocks = located(write_npz(tmp_path / "log.npz", arrays), model)
    someone = heard.any(1)
    assert same(positions(blocks), expected[someone])
    assert (
        np.concatenate([b.user for b in blocks]).tolist()
        == (np.flatnonzero(someone) + 100).tolist()
    )
    assert len(blocks) > 5


def test_a_line_array_and_a_bandwidth_stand_for_positions_and_frequencies(
    tmp_path, site, model, expected
):
    store, arrays = site
    path = write_npz(tmp_path / "a.npz", {"csi": arrays["csi"]})
    reading = Reading(site=site_of(store), bandwidth=20e6, ula_spacing=0.5)
    assert same(positions(located(path, model, reading)), expected)
    own = write_npz(
        tmp_path / "own.npz", {"csi": arrays["csi"], "bandwidth": 20e6, "ula_spacing": 0.5}
    )
    assert same(positions(located(own, model, Reading(site=site_of(store)))), expected)
    said = Reading(site=site_of(store), ula_spacing=0.25)
    assert not same(positions(located(own, model, said)), expected)
    other = Reading(site=site_of(store), bandwidth=10e6, ula_spacing=0.5)
    assert not same(positions(located(path, model, other)), expected)


def test_a_store_of_paths_is_sounded_as_the_channel_would(tmp_path, model):
    store = open_paths(write_miniature(tmp_path / "mini.zarr"))
    reading = Reading(bandwidth=20e6, antennas=8, subcarriers=16, users=10)
    (block,) = located(store.path, model, reading)
    paths = store.links(users=slice(0, 10))
    assert paths.present.any(1).all()
    fix = model.fix(Channel(20e6, 16, ula(8)).sound(paths))
    assert np.allclose(block.position, fused(fix, (10, 2)).position, atol=2e-3)
    noisy = Reading(bandwidth=20e6, antennas=8, subcarriers=16, users=10, snr_db=0.0)
    (other,) = located(store.path, model, noisy)
    assert not np.allclose(other.position, block.position, atol=1e-2, equal_nan=True)
    (again,) = located(store.path, model, noisy)
    assert np.array_equal(other.position, again.position, equal_nan=True)


def test_users_without_a_path_are_heard_by_no_station(tmp_path, model):
    store = open_paths(write_miniature(tmp_path / "mini.zarr"))
    (block,) = located(store.path, model, Reading(bandwidth=20e6, antennas=8, subcarriers=16))
    present = store.links().present.any(1).reshape(60, 2).sum(1)
    assert present.min() < 2
    assert block.heard.tolist() == present.tolist()


@pytest.mark.parametrize("name", ["store", *WRITERS])
def test_some_users_of_an_input_are_its_first(tmp_path, site, model, expected, name):
    path = site[0].path if name == "store" else WRITERS[name](tmp_path / name, site[1])
    assert same(positions(located(path, model, Reading(users=7))), expected[:7])


def test_delays_that_alias_are_told_of_once(tmp_path, monkeypatch, model):
    monkeypatch.setattr(soundings, "BLOCK_USERS", 4)
    path = write_miniature(tmp_path / "mini.zarr")
    reading = Reading(bandwidth=50e6, antennas=4, subcarriers=4, users=20)
    with pytest.warns(AliasWarning) as caught:
        blocks = located(path, model, reading)
    assert len(blocks) == 5
    assert len([w for w in caught if w.category is AliasWarning]) == 1


def test_users_that_nobody_heard_get_a_fix_without_a_place(tmp_path, site, model):
    arrays = dict(site[1])
    arrays["csi"] = arrays["csi"].copy()
    arrays["csi"][:2] = 0
    (block,) = located(write_npz(tmp_path / "a.npz", arrays), model)
    assert np.isnan(block.position[:2]).all()
    assert not block.trusted[:2].any()
    assert block.heard[:2].tolist() == [0, 0]
    assert np.isfinite(block.position[block.heard > 0]).all()


def test_what_the_model_does_not_know_is_not_trusted(site):
    model = small_model()
    model.calibration.threshold.fill_(0.0)
    store, _ = site
    (block,) = locate(model, open_source(store.path).blocks())
    assert not block.trusted.any()
    assert np.isfinite(block.position[block.heard > 0]).all()


def test_stations_whose_models_weigh_several_places_meet_where_these_agree(site):
    torch.manual_seed(0)
    model = Localizer(RadiofixEncoder(16, 1, 2, 4, 8), WaveHead(16)).eval()
    store, _ = site
    (heard,) = open_source(store.path).blocks()
    (block,) = locate(model, [heard])
    fix = model.fix(heard.sounding)
    assert fix.mixture is not None
    agreed = Fusion().join(fix, heard.fix, len(heard.labels))
    assert np.allclose(block.position, agreed.position, equal_nan=True)
    plain = Fusion().join(replace(fix, mixture=None), heard.fix, len(heard.labels))
    several = block.heard > 1
    assert several.any()
    assert np.abs(agreed.position - plain.position)[several].max() > 0.1
    assert np.allclose(agreed.position[~several], plain.position[~several], equal_nan=True)


def without(arrays, *names):
    return {k: v for k, v in arrays.items() if k not in names}


def changed(arrays, **others):
    return arrays | others


def nan_csi(arrays):
    csi = arrays["csi"].copy()
    csi[3, 1, 2, 2] = np.nan
    return changed(arrays, csi=csi)


MISTAKES = [
    (nan_csi, {}, "the csi of 1 links, the first of user 3 and station 1, is not finite: set"),
    (
        lambda a: changed(a, carrier_frequency=np.full(len(a["carrier_frequency"]), 3.5)),
        {},
        r"has carrier_frequency=3.5: give it in Hz, between 1e\+08 and 1e\+12",
    ),
    (
        lambda a: changed(a, station_orientation=90.0 + a["station_orientation"]),
        {},
        "has an orientation of 9.*: give it in radians",
    ),
    (lambda a: changed(without(a, "frequency"), bandwidth=20.0), {}, "span .* Hz: give bandwidth"),
    (lambda a: changed(a, csi=a["csi"] * 1e20), {}, r"exceeds 1e\+14: give it as linear amplitude"),
    (lambda a: changed(a, csi=a["csi"] * 1e-20), {}, "stays below 1e-14: give it as linear"),
    (lambda a: changed(a, csi=a["csi"].real), {}, "the csi is real: name both parts"),
    (lambda a: without(a, "csi"), {}, "has no csi: it has frequency"),
    (lambda a: a, {"names": (("csi", "H"),)}, "has no 'H': it has csi"),
    (lambda a: a, {"names": (("cis", "csi"),)}, "names has 'cis', which is none of csi"),
    (lambda a: a, {"axes": "user antenna subcarrier"}, "axes names 3 axes, the csi has shape"),
    (lambda a: a, {"axes": "user station aerial subcarrier"}, "axes has 'aerial', which is none"),
    (lambda a: a, {"antennas": 16}, "has 8 antennas, not 16: mend axes"),
    (lambda a: a, {"snr_db": 10.0}, "is measured CSI with noise of its own: leave snr_db out"),
    (lambda a: a, {"bandwidth": 1e7}, "has frequencies: leave bandwidth"),
    (lambda a: a, {"ula_spacing": 0.5}, "has antenna positions: leave ula_spacing out"),
    (lambda a: without(a, "frequency"), {}, r"lacks bandwidth \[Hz\]: give it"),
    (lambda a: without(a, "antenna_position"), {}, "8 antennas have no places: give ula_spacing"),
    (
        lambda a: changed(without(a, "antenna_position"), ula_spacing=0.0),
        {},
        "ula_spacing must be one positive number",
    ),
    (
        lambda a: without(a, "station_position", "station_orientation"),
        {},
        "says nothing of its stations: give stations",
    ),
    (lambda a: without(a, "station_orientation"), {}, "lacks station_orientation: add it"),
    (
        lambda a: without(a, "carrier_frequency", "frequency"),
        {},
        r"lacks carrier_frequency \[Hz\]: add it",
    ),
    (
        lambda a: changed(a, csi=a["csi"][:, :1]),
        {},
        "has CSI of 1 stations, 2 are given: name each one",
    ),
    (lambda a: changed(a, time=np.arange(3.0)), {}, "time has 3 values for 60 rows of csi"),
    (lambda a: changed(a, user=np.full(60, 0.5)), {}, "user must be whole numbers"),
    (lambda a: changed(a, csi=a["csi"][:0]), {}, "axis 'user' of a csi of shape"),
    (
        lambda a: changed(a, csi=a["csi"][:, 0], station=np.full(60, 2)),
        {},
        "station 2 is none of the 2 that are known: count them from 0",
    ),
    (
        lambda a: changed(a, origin_latitude=95.0, origin_longitude=0.0),
        {},
        "latitude must lie between",
    ),
]


@pytest.mark.parametrize(("change", "given", "message"), MISTAKES)
def test_mistakes_are_one_line_that_names_the_file_or_the_option(
    tmp_path, site, model, change, given, message
):
    path = write_npz(tmp_path / "a.npz", change(site[1]))
    with pytest.raises(ValueError, match=message) as caught:
        located(path, model, Reading(**given))
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said or any(name in said for name in given)


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_is_told_of_and_not_guessed_at(tmp_path, site, model, name):
    path = WRITERS[name](tmp_path / name, site[1])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{name} cannot be read as .npz, .mat or HDF5") as caught:
        located(path, model)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_a_zip_is_found_before_the_end(tmp_path, site, model):
    path = write_npz(tmp_path / "a.npz", site[1])
    content = bytearray(path.read_bytes())
    content[2000] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz cannot be read"):
        located(path, model)


def test_pickles_are_never_read(tmp_path, site, model):
    arrays = site[1] | {"csi": np.array([{"evil": 1}], dtype=object)}
    with pytest.raises(ValueError, match="holds Python objects, which are never read"):
        located(write_npz(tmp_path / "a.npz", arrays), model)


def test_a_model_that_takes_other_arrays_says_so_with_the_files_name(site):
    class Picky(torch.nn.Module):
        def fix(self, sounding):
            raise ValueError(f"csi of {sounding.csi.shape[1]} antennas, this takes 32")

    with pytest.raises(ValueError, match=r"measured\.zarr does not suit the model: csi of 8"):
        list(locate(Picky(), open_source(site[0].path).blocks()))
