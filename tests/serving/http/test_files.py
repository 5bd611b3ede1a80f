"""HDF5, MATLAB and .npy as bodies: the same fixes, and no file harms the server."""

import os

import h5py
import numpy as np
import pytest
import scipy.io

from radiofix.serving.http import files
from radiofix.serving.http.bodies import ARROW, FILES
from radiofix.serving.http.limits import Limits
from radiofix.serving.sites import Site
from radiofix.types import Station
from serving.http.server import ask, positions, posted, refused, service_of
from serving.http.test_limits import CSI, GOOD
from serving.walks import write_hdf5, write_mat, write_mat73

HDF5, MATLAB, NPY = FILES
SMALL = Limits(body_bytes=1_000_000)


def refusal(path, kind=HDF5, status=400):
    (response,) = ask(service_of(SMALL), posted(path.read_bytes(), kind))
    return refused(response, status)


def test_every_format_that_locate_reads_gives_the_fixes_of_the_npz(tmp_path):
    import torch

    station = Station(torch.zeros(3).double(), torch.zeros(3).double(), 3.5e9, "here")
    np.save(tmp_path / "a.npy", CSI)
    bare = posted((tmp_path / "a.npy").read_bytes(), NPY)
    bare["url"] += "?bandwidth=2e7&ula_spacing=0.5"
    by_npz, *others = ask(
        service_of(site=Site((station,))),
        posted(GOOD),
        posted(write_hdf5(tmp_path / "a.h5", GOOD).read_bytes(), HDF5),
        posted(write_mat(tmp_path / "a.mat", GOOD).read_bytes(), MATLAB),
        posted(write_mat73(tmp_path / "b.mat", GOOD).read_bytes(), MATLAB),
        bare,
    )
    for response in others:
        assert positions(response) == pytest.approx(positions(by_npz), abs=1e-3)


def test_what_a_file_lacks_or_gets_wrong_is_told_as_of_any_other(tmp_path):
    lacking = {name: values for name, values in GOOD.items() if name != "bandwidth"}
    assert "bandwidth" in refusal(write_hdf5(tmp_path / "a.h5", lacking), status=422)
    assert "not complex" in refusal(write_mat(tmp_path / "a.mat", {"csi": 1.0}), MATLAB, 422)
    (tmp_path / "text").write_text("what is this")
    assert "cannot be read" in refusal(tmp_path / "text", MATLAB)
    whole = write_hdf5(tmp_path / "b.h5", GOOD).read_bytes()
    (tmp_path / "b.h5").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refusal(tmp_path / "b.h5")


def test_bombs_in_files_are_refused(tmp_path):
    """By what HDF5's header says, and by the memory that MATLAB's unpacked arrays may take."""
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("csi", (10**5, 100, 100), "c8", chunks=(1000, 100, 100))
    assert "1000000000 numbers" in refusal(tmp_path / "bomb.h5")
    junk = {"csi": 1.0, "junk": np.zeros((40_000, 1000))}
    scipy.io.savemat(tmp_path / "bomb.mat", junk, do_compression=True)
    assert (tmp_path / "bomb.mat").stat().st_size < SMALL.body_bytes
    assert "llocate" in refusal(tmp_path / "bomb.mat", MATLAB)


def test_a_file_leads_to_no_other_file_of_the_server(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CSI.tobytes())
    outside = [(str(secret), 0, CSI.nbytes)]
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("csi", CSI.shape, "c8", external=outside)
    assert "another file" in refusal(tmp_path / "outside.h5")
    source = h5py.VirtualSource(write_hdf5(tmp_path / "other.h5", GOOD), "csi", CSI.shape)
    layout = h5py.VirtualLayout(CSI.shape, "c8")
    layout[:] = source
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("csi", layout)
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "csi")
    assert "another file" in refusal(tmp_path / "virtual.h5")
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["csi"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "csi")
    assert "either csi" in refusal(tmp_path / "linked.h5", status=422)


def test_text_and_objects_are_no_numbers(tmp_path):
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file["csi"] = ["some", "words"]
    assert "no numbers" in refusal(tmp_path / "text.h5")


def die(*task):
    """As a library of C does that a file has led astray."""
    os.abort()


def hang(*task):
    """As one does that a file has led in a circle."""
    import time

    time.sleep(600)


def test_a_reader_that_crashes_or_hangs_is_a_refusal_and_the_server_lives(tmp_path, monkeypatch):
    body = write_hdf5(tmp_path / "a.h5", GOOD).read_bytes()
    for reader, said in ((die, "its reader broke"), (hang, "not read within 1 s")):
        monkeypatch.setattr(files, "SECONDS", 60.0 if reader is die else 1.0)
        with monkeypatch.context() as broken:
            broken.setattr(files, "translate", reader)
            (response,) = ask(service_of(), posted(body, HDF5))
        assert said in refused(response, 400)
    monkeypatch.setattr(files, "SECONDS", 60.0)
    (response,) = ask(service_of(), posted(body, HDF5))
    assert positions(response).shape == (3, 3)


def test_a_table_that_breaks_libarrow_does_not_break_the_server(monkeypatch):
    """A damaged stream once did: of 10,000 wrong requests one was a segmentation fault in it."""
    pytest.importorskip("pyarrow")
    with monkeypatch.context() as broken:
        broken.setattr(files, "translate", die)
        (response,) = ask(service_of(), posted(b"damaged", ARROW))
    assert "its reader broke" in refused(response, 400)
