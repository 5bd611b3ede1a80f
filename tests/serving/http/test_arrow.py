"""Arrow's stream: the fixes of the npz, and no more memory than it says."""

import json

import numpy as np
import pytest

from radiofix.serving.http import arrow as reading
from radiofix.serving.http.bodies import ARROW
from serving.http.server import ask, positions, posted, refused, service_of
from serving.http.test_limits import CSI, GOOD, SITE

SETTINGS = {name: value.tolist() for name, value in SITE.items()}


def test_without_pyarrow_it_says_what_to_send(monkeypatch):
    monkeypatch.setattr(reading, "available", lambda: False)
    assert "send npz" in refused(ask(service_of(), posted(b"", ARROW))[0], 415)


def stream(settings=SETTINGS, compression=None, **columns):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table(columns)
    table = table.replace_schema_metadata({"radiofix": json.dumps(settings)})
    sink = arrow.BufferOutputStream()
    options = arrow.ipc.IpcWriteOptions(compression=compression)
    with arrow.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def nested(values):
    """Lists of fixed sizes, as deep as the array has axes."""
    arrow = pytest.importorskip("pyarrow")
    column = arrow.array(values.reshape(-1))
    for size in values.shape[:0:-1]:
        column = arrow.FixedSizeListArray.from_arrays(column, size)
    return column


def test_a_table_gives_the_fixes_of_the_npz():
    body = stream(csi_real=nested(CSI.real), csi_imag=nested(CSI.imag), user=nested(np.arange(3)))
    by_arrow, by_npz = ask(service_of(), posted(body, ARROW), posted(GOOD))
    assert positions(by_arrow) == pytest.approx(positions(by_npz), abs=1e-6)


def test_what_is_packed_or_damaged_or_no_table_of_numbers_is_refused():
    parts = {"csi_real": nested(CSI.real), "csi_imag": nested(CSI.imag)}
    whole = stream(**parts)
    arrow = pytest.importorskip("pyarrow")
    for body, said in (
        (stream(compression="zstd", **parts), "is compressed"),
        (stream(compression="lz4", **parts), "is compressed"),
        (whole[: len(whole) // 2], "cannot be read as Arrow"),
        (b"nothing", "cannot be read as Arrow"),
        (stream(settings=[1], **parts), "JSON object"),
        (stream(settings={"user": [1, 2, 3]}, user=nested(np.arange(3)), **parts), "a setting"),
        (stream(csi_real=arrow.array([[1.0], [1.0, 2.0]])), "not of numbers"),
        (stream(csi_real=arrow.array([1.0, None])), "empty cells"),
        (stream(csi_real=arrow.array(["a", "a"]).dictionary_encode()), "beside batches"),
    ):
        assert said in refused(ask(service_of(), posted(body, ARROW))[0], 400)


def test_a_stream_with_any_byte_changed_is_answered_or_refused_but_never_fails():
    body = stream(csi_real=nested(CSI.real[:, :2, :2]), csi_imag=nested(CSI.imag[:, :2, :2]))
    generator = np.random.default_rng(0)
    broken = []
    for _ in range(100):
        changed = bytearray(body)
        changed[generator.integers(len(body))] ^= 1 << generator.integers(8)
        broken.append(posted(bytes(changed), ARROW))
    for response in ask(service_of(), *broken):
        assert response.status_code in (200, 400, 422, 413, 503)
