"""Stores on disk: Zarr v3, one a scenario, written whole or not at all, read with xarray."""

from __future__ import annotations

import hashlib
import math
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from radiofix.data import schema
from radiofix.data.headers import ATTRIBUTE, header_sums
from radiofix.types import Csi, Paths, Station

Array = NDArray[Any]
CHUNK_USERS = 4096
"""Users in one chunk of a store, at most."""
CHUNK_BYTES = 2**28
"""Bytes in one chunk, at most: the compressor takes no more than 2 GiB."""


class StoreError(ValueError):
    """A store that cannot be read as one; the message names the store and the mend."""


@dataclass(frozen=True, slots=True)
class Map:
    """The building meshes of a scene, as the store's group `map/` holds them."""

    vertices: Array
    """(vertex, 3) [m]."""
    faces: Array
    """(face, 3) rows of `vertices`."""
    face_building: Array
    """(face,) number of the building; -1: ground and what is no building."""
    face_material: Array
    """(face,) row of `materials`."""
    materials: tuple[str, ...]


class StoreWriter:
    """Writes a store beside its final place and moves it there once it is whole."""

    def __init__(
        self, path: Path, attributes: Mapping[str, Any], users: int, stations: int
    ) -> None:
        expect_new(path)
        self.path = path
        self.sizes = {"user": users, "station": stations, "axis": 3, "angle": 3}
        self._partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._root = zarr.open_group(self._partial, mode="w", zarr_format=3)
        self._root.attrs.update({"radiofix_schema": schema.VERSION, **attributes})
        self._digests: dict[str, Any] = {}

    def create(self, name: str, variable: schema.Variable, sizes: Mapping[str, int]) -> None:
        """Makes room for one variable; its blocks follow by `append`."""
        shape = tuple({**self.sizes, **sizes}[d] for d in variable.dimensions)
        array = _create(self._root, name, variable, shape)
        self._digests[name] = (hashlib.sha256(), array, 0)

    def append(self, name: str, block: Array) -> None:
        """Writes the next rows of a variable made by `create`, in order."""
        digest, array, start = self._digests[name]
        block = np.ascontiguousarray(block, dtype=array.dtype)
        array[start : start + len(block)] = block
        digest.update(block.tobytes())
        self._digests[name] = (digest, array, start + len(block))

    def put(self, name: str, variable: schema.Variable, values: Array, **attributes: Any) -> None:
        """Writes one whole variable."""
        values = np.asarray(values)
        self.create(name, variable, dict(zip(variable.dimensions, values.shape, strict=True)))
        self.append(name, values)
        self._digests[name][1].attrs.update(attributes)

    def put_map(self, scene_map: Map) -> None:
        """Writes the building meshes into the group `map/`."""
        group = self._root.create_group("map", attributes={"materials": list(scene_map.materials)})
        for name, variable in schema.MAP_VARIABLES.items():
            values = np.asarray(getattr(scene_map, name), dtype=variable.dtype)
            array = _create(group, name, variable, values.shape)
            array[...] = values
            self._digests[f"map/{name}"] = (hashlib.sha256(values.tobytes()), array, len(values))

    def finish(self) -> None:
        """Writes the checksums and moves the store to its place: only now it exists."""
        for name, (_, array, rows) in self._digests.items():
            if rows != array.shape[0]:
                raise StoreError(f"{self.path}: {name} has {rows} of {array.shape[0]} rows")
        self._root.attrs["sha256"] = {k: v[0].hexdigest() for k, v in sorted(self._digests.items())}
        self._root.attrs[ATTRIBUTE] = header_sums(self._partial, self._digests)
        self._partial.rename(self.path)

    def abandon(self) -> None:
        """Removes what was written of a store that will not be finished."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            # After `finish` there is nothing left to remove, unless it failed.
            self.abandon()


def expect_new(path: Path) -> None:
    """Refuses a store's path where something is already, before any work is done for it."""
    if path.exists():
        raise StoreError(f"{path} exists already: choose another --out or remove it")


def _create(
    group: zarr.Group, name: str, variable: schema.Variable, shape: Sequence[int]
) -> zarr.Array[Any]:
    dtype = np.dtype(variable.dtype)
    rows = max(1, shape[0])
    if variable.dimensions[0] == "user":
        row_bytes = dtype.itemsize * math.prod(shape[1:])
        rows = min(CHUNK_USERS, max(1, CHUNK_BYTES // max(1, row_bytes)))
    itemsize = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    return group.create_array(
        name,
        shape=tuple(shape),
        chunks=(max(1, min(rows, shape[0])), *(max(1, s) for s in shape[1:])),
        dtype=dtype,
        dimension_names=variable.dimensions,
        compressors=(
            BloscCodec(cname="zstd", clevel=7, shuffle="shuffle", typesize=itemsize),
            Crc32cCodec(),
        ),
        attributes={"units": variable.unit, "long_name": variable.meaning},
        config={"write_empty_chunks": True},
    )


class PathStore:
    """An open store: links, stations and splits of one scenario, read when asked for."""

    def __init__(self, path: Path, dataset: xarray.Dataset) -> None:
        self.path = path
        self.dataset = dataset

    def __repr__(self) -> str:
        named = {k: self.dataset.sizes.get(k) for k in ("user", "station", "path")}
        sizes = ", ".join(f"{v} {k}{'s' * (v != 1)}" for k, v in named.items() if v is not None)
        return f"PathStore({str(self.path)!r}: {sizes})"

    @property
    def users(self) -> int:
        """Number of users."""
        return int(self.dataset.sizes["user"])

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which users (user,) have a position: of measured CSI, not all need one."""
        known: NDArray[np.bool_] = np.isfinite(self.dataset["user_position"].values).all(1)
        return known

    @property
    def measured(self) -> bool:
        """Whether the store holds measured CSI in place of paths."""
        return "csi" in self.dataset

    @property
    def attributes(self) -> dict[str, Any]:
        """Schema version, scenario, tracer, seed, licence and checksums."""
        return dict(self.dataset.attrs)

    @property
    def stations(self) -> tuple[Station, ...]:
        """The stations, in the order of the store."""
        names = self.attributes.get("station_names", [])
        return tuple(
            Station(
                torch.as_tensor(self.dataset["station_position"].values[i]),
                torch.as_tensor(self.dataset["station_orientation"].values[i]),
                float(self.dataset["carrier_frequency"].values[i]),
                str(names[i]) if i < len(names) else str(i),
            )
            for i in range(self.dataset.sizes["station"])
        )

    @property
    def map(self) -> Map | None:
        """The building meshes, if the store has any."""
        if not (self.path / "map").exists():
            return None
        with reading(self.path):
            stored = zarr.open_group(self.path / "map", mode="r")
            arrays = {name: np.asarray(stored[name]) for name in schema.MAP_VARIABLES}
            return Map(**arrays, materials=tuple(map(str, stored.attrs["materials"])))  # type: ignore[arg-type]  # attributes are JSON

    def split(self, name: str, part: str) -> Array:
        """Rows of the users in one part (train, validation, test, unused) of a named split."""
        variable = f"split_{name}"
        if variable not in self.dataset:
            known = (
                ", ".join(str(v)[6:] for v in self.dataset if str(v).startswith("split_")) or "none"
            )
            raise StoreError(f"{self.path} has no split {name!r}: it has {known}")
        if part not in schema.SPLIT_CODES:
            raise StoreError(f"part={part!r} is not one of {', '.join(schema.SPLIT_CODES)}")
        return np.flatnonzero(self.dataset[variable].values == schema.SPLIT_CODES[part])

    def links(
        self,
        users: Sequence[int] | slice | Array | None = None,
        station: int | Sequence[int] | None = None,
    ) -> Paths:
        """Reads the paths of some users (rows) at some stations; all of them by default."""
        self._expect("gain", "links")
        rows, columns, user, station_of = self._selection(users, station)
        chosen = self.dataset[list(schema.PATH_VARIABLES)].isel(user=rows, station=columns)
        with reading(self.path):
            fields = {
                k: torch.from_numpy(chosen[k].values.reshape(len(user), -1))
                for k in schema.PATH_VARIABLES
            }
        return Paths(
            **fields,
            **self._scene(user, station_of),
            carrier_frequency=torch.as_tensor(self.dataset["carrier_frequency"].values[station_of]),
        )

    def csi(
        self,
        users: Sequence[int] | slice | Array | None = None,
        station: int | Sequence[int] | None = None,
    ) -> Csi:
        """Reads the measured CSI of some users (rows; all by default) at some stations."""
        self._expect("csi", "csi")
        rows, columns, user, station_of = self._selection(users, station)
        with reading(self.path):
            values = self.dataset["csi"].isel(user=rows, station=columns).values
        return Csi(
            values=torch.from_numpy(values.reshape(len(user), *values.shape[2:])),
            frequency=torch.from_numpy(self.dataset["frequency"].values),
            antenna_position=torch.from_numpy(self.dataset["antenna_position"].values),
            **self._scene(user, station_of),
        )

    def _expect(self, variable: str, method: str) -> None:
        if variable not in self.dataset:
            other = ".links()" if self.measured is False else ".csi()"
            raise StoreError(f"{self.path} holds no {variable} for .{method}(): use {other}")

    def _selection(
        self, users: Sequence[int] | slice | Array | None, station: int | Sequence[int] | None
    ) -> tuple[Array, Array, Array, Array]:
        rows = np.arange(self.users)[users if users is not None else slice(None)]
        every = np.arange(self.dataset.sizes["station"])
        columns = every if station is None else np.atleast_1d(every[station])
        return rows, columns, np.repeat(rows, len(columns)), np.tile(columns, len(rows))

    def _scene(self, user: Array, station: Array) -> dict[str, torch.Tensor]:
        return {
            "user_position": torch.from_numpy(self.dataset["user_position"].values[user]),
            "station_position": torch.from_numpy(self.dataset["station_position"].values[station]),
            "station_orientation": torch.from_numpy(
                self.dataset["station_orientation"].values[station]
            ),
            "user": torch.from_numpy(user),
            "station": torch.from_numpy(station),
        }


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Says of what cannot be read in a store that the store is damaged."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # whatever zarr and its codecs raise on damaged bytes
        raise StoreError(
            f"{path} is damaged, radiofix check {path} tells where: {_first_line(error)}"
        ) from error


def open_paths(path: str | Path) -> PathStore:
    """Opens a store; its variables are read when they are asked for."""
    path = Path(path)
    if not (path / "zarr.json").is_file():
        raise StoreError(f"{path} is no store: no zarr.json in it")
    try:
        dataset = xarray.open_zarr(path, consolidated=False, zarr_format=3, chunks=None)
    except Exception as error:  # whatever zarr and xarray raise on a damaged header
        raise StoreError(f"{path} cannot be opened: {_first_line(error)}") from error
    version = dataset.attrs.get("radiofix_schema")
    if version != schema.VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this radiofix reads {schema.VERSION}: "
            "install a radiofix that knows it, or trace or import again"
        )
    missing = [v for v in required_variables("csi" in dataset) if v not in dataset]
    if missing:
        raise StoreError(f"{path} lacks {', '.join(missing)}: trace or import again")
    return PathStore(path, dataset)


def required_variables(measured: bool) -> Iterable[str]:
    """Names that a store of this kind cannot do without."""
    kind = schema.CSI_VARIABLES if measured else schema.PATH_VARIABLES
    return (*kind, *schema.SCENE_VARIABLES)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
