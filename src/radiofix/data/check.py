"""Finds every kind of damage in a store, and names it."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from radiofix.data import schema
from radiofix.data.headers import header_problems
from radiofix.data.store import CHUNK_USERS, Map, StoreError, open_paths, required_variables
from radiofix.types import SPEED_OF_LIGHT

Array = NDArray[Any]
Inside = Callable[[Array, Map], Array]

SIGHT_TOLERANCE = 0.5
"""How far c * delay of a line of sight may be from the distance [m]."""
ORDER_TOLERANCE = 1e-5
"""Relative: gains as equal as single precision can tell are in order either way."""
SPLIT = schema.Variable(("user",), "int8", "1", "part of the user")
SHOWN = 4
"""Problems of one kind that are written out; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and how it stands."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found out about a store."""

    path: Path
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the store is sound."""
        return all(finding.ok for finding in self.findings)


def check(store_path: Path, inside: Inside | None = None) -> Report:
    """Looks at every byte of a store: headers, chunks, checksums, values, and the physics of them.

    `inside` tells which points (user, 3) [m] are inside buildings of the map; without it that is
    not looked at.
    """
    store_path = Path(store_path)
    headers, arrays, attributes = _headers(store_path)
    findings = [headers]
    if attributes:
        findings.append(_version(attributes))
        findings.append(_finding("attributes", *header_problems(store_path, attributes)))
    if arrays:
        chunks, checksums, damaged = _contents(store_path, arrays, attributes.get("sha256"))
        variables = _variables(arrays)
        findings += [variables, chunks, checksums]
        # Values of arrays that are damaged or misshapen would only repeat the news.
        if variables.ok:
            sound = {name: array for name, array in arrays.items() if name not in damaged}
            findings += _values(sound, damaged)
            if headers.ok and inside is not None:
                findings.append(_inside(store_path, sound, inside))
    try:
        with warnings.catch_warnings():
            # zarr warns of stray folders: the headers' finding has named them.
            warnings.simplefilter("ignore")
            open_paths(store_path)
    except StoreError as error:
        findings.append(Finding("opens", False, _line(error)))
    else:
        findings.append(Finding("opens", True, "as a store of this version"))
    return Report(store_path, tuple(findings))


def _headers(root: Path) -> tuple[Finding, dict[str, zarr.Array[Any]], dict[str, Any]]:
    """Every array that can be opened, by name, and the attributes of the store."""
    if not (root / "zarr.json").is_file():
        return Finding("headers", False, f"{root} is no store: no zarr.json in it"), {}, {}
    problems: list[str] = []
    arrays: dict[str, zarr.Array[Any]] = {}
    attributes: dict[str, Any] = {}
    folders = sorted(file.parent for file in root.rglob("zarr.json"))
    for folder in folders:
        name = folder.relative_to(root).as_posix()
        try:
            header = json.loads((folder / "zarr.json").read_bytes())
            if header["node_type"] == "array":
                arrays[name] = zarr.open_array(folder, mode="r", zarr_format=3)
            elif folder == root:
                attributes = dict(header.get("attributes", {}))
        except Exception as error:  # whatever JSON and zarr raise on a damaged header
            file = (folder / "zarr.json").relative_to(root)
            problems.append(f"{file} is no zarr header: {_line(error)}")
    # A folder of chunks whose header is gone is no array to zarr at all.
    headless = {chunks.parent for chunks in root.rglob("c") if chunks.is_dir()}
    headless = {*headless, *(folder.parent for folder in folders if folder != root)} - set(folders)
    problems += [f"{folder.relative_to(root)} has no zarr.json" for folder in sorted(headless)]
    return _finding("headers", problems, f"{len(folders)} can be read"), arrays, attributes


def _version(attributes: Mapping[str, Any]) -> Finding:
    version = attributes.get("radiofix_schema")
    if version == schema.VERSION:
        return Finding("schema version", True, str(version))
    known = f"this radiofix knows {schema.VERSION}"
    return Finding("schema version", False, f"{version} is unknown: {known}")


def _variables(arrays: Mapping[str, zarr.Array[Any]]) -> Finding:
    """Whether all that must be there is, with the dimensions and types of the schema."""
    needed = required_variables("csi" in arrays)
    problems = [f"{name} is missing" for name in needed if name not in arrays]
    in_map = {f"map/{name}": variable for name, variable in schema.MAP_VARIABLES.items()}
    if any(name in arrays for name in in_map):
        problems += [f"{name} is missing" for name in in_map if name not in arrays]
    known = {
        **schema.PATH_VARIABLES,
        **schema.CSI_VARIABLES,
        **schema.SCENE_VARIABLES,
        **schema.OPTIONAL_VARIABLES,
        **in_map,
        **{name: SPLIT for name in arrays if name.startswith("split_")},
    }
    lengths: dict[str, tuple[int, str]] = {"axis": (3, "the schema"), "angle": (3, "the schema")}
    for name, array in sorted(arrays.items()):
        if name not in known:
            continue
        dimensions = array.metadata.dimension_names  # type: ignore[union-attr]  # always version 3
        if tuple(dimensions or ()) != known[name].dimensions:
            problems.append(f"{name} has dimensions {dimensions}, not {known[name].dimensions}")
            continue
        wide = name == "delay" and array.dtype == np.float64
        if array.dtype != np.dtype(known[name].dtype) and not wide:
            problems.append(f"{name} is {array.dtype}, not {known[name].dtype}")
        for dimension, length in zip(known[name].dimensions, array.shape, strict=True):
            first, where = lengths.setdefault(dimension, (length, name))
            if length != first:
                problems.append(f"{name} has {length} {dimension}s, {where} has {first}")
    return _finding("variables", problems, f"{len(arrays)} arrays as the schema has them")


def _contents(
    root: Path, arrays: Mapping[str, zarr.Array[Any]], recorded: object
) -> tuple[Finding, Finding, set[str]]:
    """Reads every chunk once: whether it is there, decodes, and adds up to the checksum."""
    sums = recorded if isinstance(recorded, dict) else {}
    required = {*required_variables(True), *required_variables(False)}
    chunks: list[str] = []
    checksums = [f"{name} has a sha256 but is missing" for name in sums if name not in arrays]
    damaged: set[str] = set()
    for name, array in sorted(arrays.items()):
        digest, problems = _digest(root / name, array)
        chunks += [f"{name} {problem}" for problem in problems]
        if problems:
            damaged.add(name)
        elif name in sums and digest != sums[name]:
            checksums.append(f"{name} differs from its sha256")
        elif name not in sums and (name in required or name.startswith("map/")):
            checksums.append(f"{name} has no sha256")
    return (
        _finding("chunks", chunks, "all are there and decode"),
        _finding("checksums", checksums, f"{len(sums)} arrays equal their sha256"),
        damaged,
    )


def _digest(folder: Path, array: zarr.Array[Any]) -> tuple[str, list[str]]:
    """The sha256 of an array in C order, and what is wrong with its chunks."""
    if not array.shape:
        return hashlib.sha256(np.asarray(array[()]).tobytes()).hexdigest(), []
    step = array.shards or array.chunks
    counts = [math.ceil(size / length) for size, length in zip(array.shape, step, strict=True)]
    digest, problems = hashlib.sha256(), []
    for row in range(counts[0]):
        rows = slice(row * step[0], min((row + 1) * step[0], array.shape[0]))
        block = np.empty((rows.stop - rows.start, *array.shape[1:]), dtype=array.dtype)
        for rest in product(*map(range, counts[1:])):
            key = array.metadata.encode_chunk_key((row, *rest))
            # zarr reads a missing chunk as zeros without a word.
            if not (folder / key).is_file():
                problems.append(f"chunk {key} is missing")
                continue
            columns = tuple(slice(i * n, (i + 1) * n) for i, n in zip(rest, step[1:], strict=True))
            try:
                block[(slice(None), *columns)] = array[(rows, *columns)]
            except Exception as error:  # whatever the codecs raise on damaged bytes
                problems.append(f"chunk {key} cannot be decoded: {_line(error)}")
        digest.update(block.tobytes())
    return digest.hexdigest(), problems


RULES: dict[str, tuple[set[str], str]] = {
    "paths": ({"gain", "delay", "interactions"}, "gain, delay and interactions agree"),
    "delay": ({"delay"}, "none is negative"),
    "order": ({"gain"}, "strongest path first"),
    "line of sight": ({"interactions"}, "one at most in each link"),
    "angles": (
        {f"{end}_{angle}" for end in ("station", "user") for angle in ("azimuth", "zenith")},
        "zenith in [0, pi], azimuth in [-pi, pi]",
    ),
    "line-of-sight delay": (
        {"interactions", "delay", "user_position", "station_position"},
        "c * delay is the distance",
    ),
}
"""What is asked of the paths: the variables it takes, and what is said where it holds."""


def _values(arrays: Mapping[str, zarr.Array[Any]], damaged: set[str]) -> Iterator[Finding]:
    """What the numbers of the sound arrays say, in blocks of users."""
    problems: dict[str, list[str]] = {}
    off_sight = [np.zeros(0)]
    whole = {name: np.asarray(a[...]) for name, a in arrays.items() if not _by_user(a)}
    by_user = {name: array for name, array in arrays.items() if _by_user(array)}
    users = max((array.shape[0] for array in by_user.values()), default=0)
    measured, unlabelled = "csi" in {*arrays, *damaged}, 0
    found = [*_finite(whole, 0), *_carriers(whole)]
    for start in range(0, users, CHUNK_USERS):
        rows = slice(start, start + CHUNK_USERS)
        block = {name: np.asarray(array[rows]) for name, array in by_user.items()}
        if measured and "user_position" in block:
            lost = np.isnan(block["user_position"]).all(1)
            unlabelled += int(lost.sum())
            found += _unlabelled(block, lost, start)
            # Without a position is no damage here; one with a part of it is.
            block["user_position"] = np.where(lost[:, None], 0.0, block["user_position"])
        found += [*_finite(block, start), *_links(block, start), *_splits(block, start)]
        off_sight.append(_off_sight({**whole, **block}))
    for name, problem in found:
        problems.setdefault(name, []).append(problem)
    for name, fine in (
        ("finite", "no NaN, no infinity"),
        ("carriers", "positive"),
        ("splits", "known parts only"),
    ):
        yield _finding(name, problems.get(name, []), fine)
    if measured and "user_position" in arrays:
        known = f"{unlabelled} of {users} users have none" if unlabelled else "every user has one"
        yield _finding("positions", problems.get("positions", []), known)
    for name, (needed, fine) in RULES.items() if not measured else ():
        if lost := sorted(needed & damaged):
            problems.setdefault(name, []).append(f"not wholly looked at: {', '.join(lost)} damaged")
        elif name == "line-of-sight delay":
            yield _sight(np.concatenate(off_sight))
            continue
        yield _finding(name, problems.get(name, []), fine)


def _by_user(array: zarr.Array[Any]) -> bool:
    return (array.metadata.dimension_names or (None,))[0] == "user"  # type: ignore[union-attr]  # always version 3


def _finite(block: Mapping[str, Array], start: int) -> Iterator[tuple[str, str]]:
    for name, values in block.items():
        if values.dtype.kind in "fc" and not (good := np.isfinite(values)).all():
            yield "finite", f"{name} has {_where(~good, start)} that are NaN or infinite"


def _carriers(block: Mapping[str, Array]) -> Iterator[tuple[str, str]]:
    for name in {"carrier_frequency", "frequency"} & set(block):
        yield from _broken("carriers", name, (block[name] <= 0, "not positive"), 0)


def _links(block: Mapping[str, Array], start: int) -> Iterator[tuple[str, str]]:
    """The rules that tie the path variables together; those that need a damaged one are left."""
    interactions = block.get("interactions")
    if interactions is not None:
        there = interactions >= 0
        two = (interactions == 0).sum(-1) > 1
        yield from _broken("paths", "interactions", (interactions < -1, "below -1"), start)
        yield from _broken("line of sight", "store", (two, "links with more than one"), start)
        for name in {"gain", "delay"} & set(block):
            ghost, lost = ~there & (block[name] != 0), there & (block[name] == 0)
            yield from _broken("paths", name, (ghost, "not 0 where there is no path"), start)
            yield from _broken("paths", name, (lost, "0 where there is a path"), start)
    if "delay" in block:
        yield from _broken("delay", "delay", (block["delay"] < 0, "negative"), start)
    if "gain" in block:
        size = np.abs(block["gain"])
        rising = size[..., 1:] > size[..., :-1] * (1 + ORDER_TOLERANCE)
        yield from _broken("order", "gain", (rising, "stronger than the path before"), start)
    for name, low in (("zenith", 0.0), ("azimuth", -np.pi)):
        for end in ("station", "user"):
            if (angle := block.get(f"{end}_{name}")) is not None:
                # NaN compares false both ways: it is told once, as not finite.
                outside = (angle < low) | (angle > np.pi)
                limits = f"outside [{'0' if low == 0 else '-pi'}, pi]"
                yield from _broken("angles", f"{end}_{name}", (outside, limits), start)


def _splits(block: Mapping[str, Array], start: int) -> Iterator[tuple[str, str]]:
    for name in sorted(name for name in block if name.startswith("split_")):
        unknown = ~np.isin(block[name], list(schema.SPLIT_CODES.values()))
        yield from _broken("splits", name, (unknown, "of no known part"), start)


def _unlabelled(block: Mapping[str, Array], lost: Array, start: int) -> Iterator[tuple[str, str]]:
    for name in sorted(name for name in block if name.startswith("split_")):
        taught = lost & (block[name] != schema.SPLIT_CODES["unused"])
        yield from _broken("positions", name, (taught, "in use without a position"), start)


def _broken(
    name: str, variable: str, rule: tuple[Array, str], start: int
) -> Iterator[tuple[str, str]]:
    broken, how = rule
    if broken.any():
        yield name, f"{variable} has {_where(broken, start)} {how}"


def _off_sight(block: Mapping[str, Array]) -> Array:
    """|c * delay - distance| of every line-of-sight path of a block [m]."""
    if not {"interactions", "delay", "user_position", "station_position"} <= set(block):
        return np.zeros(0)
    apart = block["user_position"][:, None] - block["station_position"]
    distance = np.linalg.norm(apart, axis=-1)[..., None]
    off = np.abs(SPEED_OF_LIGHT * block["delay"].astype(np.float64) - distance)
    return np.asarray(off[block["interactions"] == 0])


def _sight(off: Array) -> Finding:
    if not off.size:
        return Finding("line-of-sight delay", True, "no line of sight to measure by")
    # A NaN delay must not pass for a good one.
    worst, middle = float(np.max(off)), float(np.median(off))
    detail = f"c * delay is off the distance by {worst:.3g} m at most, {middle:.3g} m at the median"
    return Finding("line-of-sight delay", worst <= SIGHT_TOLERANCE, detail)


def _inside(root: Path, arrays: Mapping[str, zarr.Array[Any]], inside: Inside) -> Finding:
    scene_map = _open_map(root, arrays)
    if scene_map is None or "user_position" not in arrays:
        return Finding("users outdoors", True, "no sound map and positions to tell by")
    position = np.asarray(arrays["user_position"][...])
    within, known = np.zeros(len(position), dtype=bool), np.isfinite(position).all(1)
    within[known] = inside(position[known], scene_map)
    if within.any():
        count = _where(within, 0)
        return Finding("users outdoors", False, f"user_position has {count} in a building")
    return Finding("users outdoors", True, "none is inside a building")


def _open_map(root: Path, arrays: Mapping[str, zarr.Array[Any]]) -> Map | None:
    """The building meshes, where all their arrays are sound."""
    names = [f"map/{name}" for name in schema.MAP_VARIABLES]
    if not set(names) <= set(arrays):
        return None
    meshes = {n.removeprefix("map/"): np.asarray(arrays[n][...]) for n in names}
    materials = zarr.open_group(root / "map", mode="r").attrs.get("materials", [])
    return Map(**meshes, materials=tuple(map(str, materials)))  # type: ignore[arg-type]  # JSON


def _where(broken: Array, start: int) -> str:
    """How many, and the first of them by its indices in the store."""
    first = np.argwhere(broken)[0]
    first[0] += start
    return f"{int(broken.sum())} (first at {first.tolist()})"


def _finding(name: str, problems: list[str], fine: str) -> Finding:
    if not problems:
        return Finding(name, True, fine)
    rest = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return Finding(name, False, "; ".join(problems[:SHOWN]) + rest)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
