"""Sionna RT as the solver: a scene and a block of users in, their paths out.

Sionna is imported only here and only when something is traced.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.scenes.scene import FloatArray, Mesh, Scene
from radiofix.tracing.llvm import use_llvm
from radiofix.tracing.plan import UNIT_USERS
from radiofix.types import Station

THICKNESS = 0.3
"""Walls [m]; only their outside reflects, so it matters little."""

PathArrays = dict[str, NDArray[Any]]
"""Variables of the store's schema, each (user, station, path)."""


def require_tracer() -> str:
    """Makes sure that tracing can work here; returns the tracer's version."""
    if importlib.util.find_spec("sionna") is None:
        raise ValueError("tracing needs Sionna RT: pip install 'radiofix[trace]'")
    use_llvm()
    import sionna.rt

    return f"Sionna RT {sionna.rt.__version__}"


class Tracer:
    """A scene made ready for tracing, its stations as sources."""

    def __init__(
        self,
        scene: Scene,
        stations: Sequence[int],
        frequency: float,
        bounces: int,
        diffraction: bool,
        paths: int,
        rays: int,
        seed: int,
    ) -> None:
        require_tracer()
        import sionna.rt as rt

        self.paths = paths
        self._settings = {
            "max_depth": bounces,
            "samples_per_src": rays,
            "seed": seed,
            "refraction": False,
            "diffraction": diffraction,
            "synthetic_array": True,
        }
        self._solver = rt.PathSolver(deterministic=True)
        self._scene = rt.Scene()
        self._scene.frequency = frequency
        self._scene.edit(add=list(_scene_objects(scene.meshes)))
        isotropic = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
        self._scene.tx_array = self._scene.rx_array = isotropic
        for number in stations:
            self._scene.add(_transmitter(number, scene.stations[number]))
        self._receivers = [rt.Receiver(f"user-{i}", [0.0, 0.0, 0.0]) for i in range(UNIT_USERS)]
        for receiver in self._receivers:
            self._scene.add(receiver)

    def trace(self, user_position: FloatArray) -> PathArrays:
        """The strongest paths between every station and the users (user, 3) [m]."""
        from radiofix.data.importers.sionna import link_paths

        users = len(user_position)
        if users > UNIT_USERS:
            raise ValueError(f"{users} users at once, at most {UNIT_USERS}: trace them in units")
        # Always the same number of receivers: the solver is compiled for a size.
        padded = np.pad(user_position, ((0, UNIT_USERS - users), (0, 0)), mode="edge")
        for receiver, position in zip(self._receivers, padded, strict=True):
            receiver.position = _opaque_point(position)
        found = link_paths(self._solver(self._scene, **self._settings))
        found = {name: values[:users] for name, values in found.items()}
        return {name: _fit(values, self.paths, name) for name, values in found.items()}


def _fit(values: NDArray[Any], paths: int, name: str) -> NDArray[Any]:
    """Cuts or pads the path axis to the wanted number."""
    missing = paths - values.shape[-1]
    if missing <= 0:
        return np.ascontiguousarray(values[..., :paths])
    empty = -1 if name == "interactions" else 0
    return np.pad(values, ((0, 0), (0, 0), (0, missing)), constant_values=empty)


def _scene_objects(meshes: Sequence[Mesh]) -> list[Any]:
    """One Sionna object a material: fewer objects trace faster, and paths are the same."""
    import drjit as dr
    import mitsuba as mi
    import sionna.rt as rt

    by_material: dict[str, list[Mesh]] = defaultdict(list)
    for mesh in meshes:
        by_material[mesh.material].append(mesh)
    objects = []
    for material, group in sorted(by_material.items()):
        starts = np.cumsum([0, *(len(m.vertices) for m in group[:-1])])
        vertices = np.concatenate([m.vertices for m in group]).astype(np.float32)
        faces = np.concatenate([m.faces + s for m, s in zip(group, starts, strict=True)])
        solid = mi.Mesh(material, vertex_count=len(vertices), face_count=len(faces))
        parameters = mi.traverse(solid)
        parameters["vertex_positions"] = mi.Float(vertices.ravel())
        parameters["faces"] = mi.UInt32(faces.astype(np.uint32).ravel())
        parameters.update()
        dr.eval()
        stuff = rt.ITURadioMaterial(f"itu-{material}", material, thickness=THICKNESS)
        objects.append(
            rt.SceneObject(mi_mesh=solid, name=f"solid-{material}", radio_material=stuff)
        )
    return objects


def _transmitter(number: int, station: Station) -> Any:
    import sionna.rt as rt

    return rt.Transmitter(
        f"station-{number}",
        position=[float(x) for x in station.position],
        orientation=[float(x) for x in station.orientation],
    )


def _opaque_point(position: FloatArray) -> Any:
    """A point whose numbers do not become part of the compiled code (one compilation a user)."""
    import drjit as dr
    import mitsuba as mi

    return mi.Point3f(*(dr.opaque(mi.Float, float(x)) for x in position))
