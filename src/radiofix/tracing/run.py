"""A whole trace: units worked off, kept one by one, put together into a store at the end.

Each finished unit lies in a file of its own beside the store to be, so a trace that was killed
goes on where it was; the store itself is written whole, from the units in their order.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from radiofix.data import schema
from radiofix.data.splits import RANDOM_SIZES, expect_sizes, put_splits
from radiofix.data.store import CHUNK_USERS, Map, StoreError, StoreWriter, expect_new
from radiofix.files import whole_file, write_whole
from radiofix.scenes import catalogue
from radiofix.scenes.scene import Scene
from radiofix.tracing.engines import Engine, in_process
from radiofix.tracing.plan import UNIT_USERS, TracePlan
from radiofix.tracing.solver import PathArrays, require_tracer
from radiofix.version import __version__

Progress = Callable[[int, int, int], None]
"""Told users done before this run, users done, users in all."""


def trace(
    plan: TracePlan,
    out: Path,
    engine: Engine = in_process,
    resume: bool = False,
    split_sizes: tuple[int, int, int] = RANDOM_SIZES,
    progress: Progress = lambda before, done, total: None,
) -> None:
    """Traces a plan into the store `out`; `resume` goes on with one that was cut off."""
    expect_new(out)
    expect_sizes(split_sizes)
    tracer = require_tracer()
    scene = catalogue.scene(plan.scene, **plan.arguments)
    if scene.file_sha256 is not None:
        # Whoever reads the file again, a worker or a resumed trace, is held to what is in it now.
        plan = replace(plan, arguments={**plan.arguments, "sha256": scene.file_sha256})
    stations = plan.station_numbers(scene)
    users = plan.user_rows(scene)
    folder = _unit_folder(out, {"plan": json.loads(plan.to_json()), "tracer": tracer}, resume)
    units = dict(plan.units(len(users)))
    kept = {number for number in units if _unit_file(folder, number).exists()}
    done = before = sum(units[n].stop - units[n].start for n in kept)
    progress(before, done, len(users))
    for number, found in engine(plan, [n for n in units if n not in kept]):
        _keep(folder, number, found)
        done += units[number].stop - units[number].start
        progress(before, done, len(users))
    attributes = _attributes(plan, scene, stations, tracer) | {"split_sizes": list(split_sizes)}
    with StoreWriter(out, attributes, len(users), len(stations)) as store:
        _write_scene(store, plan, scene, stations, users)
        put_splits(store, scene.user_position[users], split_sizes, plan.seed)
        _write_paths(store, folder, len(units), plan.paths)
    shutil.rmtree(folder)


def _unit_folder(out: Path, identity: Mapping[str, Any], resume: bool) -> Path:
    """The folder of the units, made or, with `resume`, taken up again if it is of this plan."""
    folder = out.with_name(f".{out.name}.units")
    text = json.dumps(identity, sort_keys=True, indent=1)
    record = folder / "plan.json"
    if record.exists():
        if not resume:
            raise StoreError(f"{out} was begun and not finished: add --resume, or remove {folder}")
        begun = json.loads(record.read_text())
        if begun != identity:
            name, then, now = _difference(begun, dict(identity))
            raise StoreError(
                f"{out} was begun with {name}={then}, now {name}={now}: "
                f"use the same arguments and files, or remove {folder}"
            )
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(record, text)
    return folder


def _difference(begun: dict[str, Any], now: dict[str, Any]) -> tuple[str, Any, Any]:
    old, new = _flat(begun), _flat(now)
    absent = "not given"
    rows = ((k, old.get(k, absent), new.get(k, absent)) for k in sorted(set(old) | set(new)))
    return next(row for row in rows if row[1] != row[2])


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity name by name, so that what differs can be told without the rest."""
    plan = dict(identity["plan"])
    arguments = {f"the scene's {k}": v for k, v in plan.pop("arguments").items()}
    return {**plan, **arguments, "tracer": identity["tracer"]}


def _unit_file(folder: Path, number: int) -> Path:
    return folder / f"unit-{number:06d}.npz"


def _keep(folder: Path, number: int, found: PathArrays) -> None:
    with whole_file(_unit_file(folder, number)) as file:
        np.savez(file, allow_pickle=False, **found)


def _attributes(
    plan: TracePlan, scene: Scene, stations: tuple[int, ...], tracer: str
) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "radiofix_version": __version__,
        "scenario": scene.name,
        "tracer": tracer,
        "plan": json.loads(plan.to_json()),
        "seed": plan.seed,
        "licence": scene.licence,
        "assumptions": dict(scene.assumptions),
        "station_names": [scene.stations[n].name or str(n) for n in stations],
    }
    if scene.origin is not None:
        names = ("origin_latitude", "origin_longitude", "origin_height")
        attributes.update(zip(names, scene.origin, strict=True))
        attributes["heading_of_x"] = 90.0
    return attributes


def _write_scene(
    store: StoreWriter, plan: TracePlan, scene: Scene, stations: tuple[int, ...], users: Any
) -> None:
    chosen = [scene.stations[number] for number in stations]
    values = {
        "user_position": scene.user_position[users],
        "station_position": np.stack([s.position.numpy() for s in chosen]),
        "station_orientation": np.stack([s.orientation.numpy() for s in chosen]),
        "carrier_frequency": np.full(len(chosen), plan.frequency),
    }
    for name, variable in schema.SCENE_VARIABLES.items():
        store.put(name, variable, values[name])
    store.put("row", schema.OPTIONAL_VARIABLES["row"], scene.user_row[users])
    store.put_map(scene_map(scene))


def scene_map(scene: Scene) -> Map:
    """The meshes of a scene as the one mesh that a store carries."""
    materials = tuple(sorted({mesh.material for mesh in scene.meshes}))
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in scene.meshes[:-1])])
    solids = [mesh.part_of or row for row, mesh in enumerate(scene.meshes)]
    built = [mesh.building for mesh in scene.meshes]
    numbers = {solid: n for n, solid in enumerate(dict.fromkeys(compress(solids, built)))}
    counts = [len(mesh.faces) for mesh in scene.meshes]
    building = [numbers[s] if is_one else -1 for s, is_one in zip(solids, built, strict=True)]
    return Map(
        vertices=np.concatenate([mesh.vertices for mesh in scene.meshes]),
        faces=np.concatenate([m.faces + s for m, s in zip(scene.meshes, starts, strict=True)]),
        face_building=np.repeat(building, counts),
        face_material=np.repeat([materials.index(m.material) for m in scene.meshes], counts),
        materials=materials,
    )


def _write_paths(store: StoreWriter, folder: Path, units: int, paths: int) -> None:
    for name, variable in schema.PATH_VARIABLES.items():
        store.create(name, variable, {"path": paths})
    together = CHUNK_USERS // UNIT_USERS
    for start in range(0, units, together):
        blocks = []
        for number in range(start, min(start + together, units)):
            with np.load(_unit_file(folder, number), allow_pickle=False) as unit:
                blocks.append({name: unit[name] for name in schema.PATH_VARIABLES})
        for name in schema.PATH_VARIABLES:
            store.append(name, np.concatenate([block[name] for block in blocks]))
