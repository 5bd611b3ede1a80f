"""A smaller store out of a large one: some users, fewer paths, for another machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.data import schema
from radiofix.data.store import CHUNK_USERS, PathStore, StoreError, StoreWriter, reading

AT_THE_USER = ("user_azimuth", "user_zenith")
"""What only users with a pattern or several antennas need."""


def pack(
    store: PathStore,
    out: Path,
    users: int | None = None,
    paths: int | None = None,
    user_angles: bool = False,
    seed: int = 0,
) -> int:
    """Copies users drawn by the seed, with their splits, and each link's strongest paths.

    Args:
        store: of paths.
        out: the store to be.
        users: how many; None: all.
        paths: of each link; None: all.
        user_angles: whether the directions at the user are kept; without them they are 0.
        seed: of the draw.

    Returns:
        How many users there are now.
    """
    if store.measured:
        raise StoreError(f"{store.path} holds measured CSI, no paths: there is nothing to pack")
    most = int(store.dataset.sizes["path"])
    kept_paths = most if paths is None else paths
    if not 1 <= kept_paths <= most:
        raise StoreError(f"paths={paths} must be from 1 to the {most} of {store.path}")
    count = store.users if users is None else users
    if not 1 <= count <= store.users:
        raise StoreError(f"users={users} must be from 1 to the {store.users:,} of {store.path}")
    rows = np.sort(np.random.default_rng(seed).permutation(store.users)[:count])
    attributes = {
        **{k: v for k, v in store.attributes.items() if k not in schema.CHECKSUMS},
        "packed_from": {
            "sha256": store.attributes.get("sha256"),
            "users": count,
            "paths": kept_paths,
            "user_angles": user_angles,
            "seed": seed,
        },
    }
    stations = int(store.dataset.sizes["station"])
    with StoreWriter(out, attributes, count, stations) as writer, reading(store.path):
        _copy(store, writer, rows, kept_paths, user_angles)
        if store.map is not None:
            writer.put_map(store.map)
    return count


def _copy(
    store: PathStore, writer: StoreWriter, rows: NDArray[np.int64], paths: int, user_angles: bool
) -> None:
    known: Mapping[str, schema.Variable] = {
        **schema.PATH_VARIABLES,
        **schema.SCENE_VARIABLES,
        **schema.OPTIONAL_VARIABLES,
    }
    for name in map(str, store.dataset):
        if not (name in known or name.startswith("split_")):
            continue
        source = store.dataset[name]
        variable = known.get(name) or _split_variable(source.attrs)
        if "path" in variable.dimensions:
            writer.create(name, variable, {"path": paths})
            for start in range(0, store.users, CHUNK_USERS):
                inside = rows[(rows >= start) & (rows < start + CHUNK_USERS)] - start
                chunk = source.isel(user=slice(start, start + CHUNK_USERS)).values
                block = chunk[inside][:, :, :paths]
                blank = name in AT_THE_USER and not user_angles
                writer.append(name, np.zeros_like(block) if blank else block)
            continue
        values = source.values
        if variable.dimensions[0] == "user":
            values = values[rows]
        extra = {k: v for k, v in source.attrs.items() if k not in ("units", "long_name")}
        writer.put(name, variable, values, **extra)


def _split_variable(attributes: Mapping[str, Any]) -> schema.Variable:
    return schema.Variable(("user",), "int8", "1", str(attributes.get("long_name", "part")))
