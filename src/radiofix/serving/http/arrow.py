"""Arrow's IPC stream from a stranger: a row a user, the CSI in lists of fixed sizes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radiofix.data.store import Array

SETTINGS = b"radiofix"
"""Key of the schema's metadata that holds, as JSON, what is not a row a user."""
COLUMNS = ("csi_real", "csi_imag", "user", "time", "track", "station")
BATCHES = 4096
_RECORD_BATCH = 3
"""Of the union of headers in Arrow's Message.fbs."""
_HEADER_TYPE, _HEADER, _COMPRESSION = 1, 2, 3
"""Numbers of the fields in Message and in RecordBatch."""


def available() -> bool:
    """Whether pyarrow is there."""
    return importlib.util.find_spec("pyarrow") is not None


def read_arrow(path: Path, names: Collection[str], most: int) -> Mapping[str, Any]:
    """The columns of an uncompressed stream as arrays, and its settings as they were sent.

    A damaged stream may end the process that reads it: libarrow trusts offsets that it was sent.

    Args:
        path: of the stream.
        names: to be read; what else is there is not looked at.
        most: bytes of all of them.
    """
    arrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    try:
        batches = []
        for number, message in enumerate(ipc.MessageReader.open_stream(path.read_bytes())):
            if number == 0:
                schema = ipc.read_schema(message)
                continue
            _refuse_packed(message.metadata.to_pybytes(), number)
            batch = ipc.read_record_batch(message, schema)
            batch.validate(full=True)
            batches.append(batch)
        table = arrow.Table.from_batches(batches, schema)
        settings = _settings(schema.metadata or {})
        wanted = [n for n in COLUMNS if n in names and n in table.column_names]
        sizes = {name: _shape(arrow, table.schema.field(name).type) for name in wanted}
        if sum(8 * len(table) * math.prod(shape) for shape in sizes.values()) > most:
            raise ValueError(f"its arrays exceed {most} bytes")
        columns = {name: _array(table[name], sizes[name]) for name in wanted}
    # A damaged stream leads pyarrow anywhere.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"the body cannot be read as Arrow: {reason}") from error
    if twice := sorted({*columns} & {*settings}):
        raise ValueError(f"{twice[0]} is a column and a setting: leave one out")
    return settings | columns


def _settings(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    settings = json.loads(metadata.get(SETTINGS, b"{}"))
    if not isinstance(settings, dict):
        raise ValueError("the metadata radiofix must be a JSON object")
    return settings


def _shape(arrow: Any, kind: Any) -> tuple[int, ...]:
    """Sizes of nested lists of fixed sizes."""
    shape = []
    while arrow.types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    if not (arrow.types.is_floating(kind) or arrow.types.is_integer(kind)):
        raise ValueError(f"a column is of {str(kind)[:60]}, not of numbers in lists of fixed size")
    return tuple(shape)


def _array(column: Any, shape: tuple[int, ...]) -> Array:
    if column.null_count:
        raise ValueError("a column has empty cells: set what was not measured to 0")
    flat = column.combine_chunks()
    for _ in shape:
        flat = flat.flatten()
    if flat.null_count:
        raise ValueError("a list has empty cells: set what was not measured to 0")
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(column), *shape)


def _refuse_packed(metadata: bytes, number: int) -> None:
    """A few packed bytes may unpack to any number, and pyarrow asks nobody."""
    if number > BATCHES:
        raise ValueError(f"it has more than {BATCHES} batches: send fewer")
    (root,) = struct.unpack_from("<I", metadata)
    kind = _field(metadata, root, _HEADER_TYPE)
    header = _field(metadata, root, _HEADER)
    if kind is None or header is None or metadata[kind] != _RECORD_BATCH:
        raise ValueError("it holds something beside batches of rows: send plain columns")
    (offset,) = struct.unpack_from("<I", metadata, header)
    if _field(metadata, header + offset, _COMPRESSION) is not None:
        raise ValueError("it is compressed: send it uncompressed")


def _field(buffer: bytes, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table lies, None where it is not set."""
    (back,) = struct.unpack_from("<i", buffer, table)
    vtable = table - back
    if vtable < 0:
        raise ValueError("its metadata is damaged")
    (size,) = struct.unpack_from("<H", buffer, vtable)
    place = 4 + 2 * number
    if place + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", buffer, vtable + place)
    return table + offset if offset else None
