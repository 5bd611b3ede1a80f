"""The map that a store carries knows which triangles are one building."""

import importlib.util

import numpy as np
import pytest

from radiofix.scenes.builtin import builtin
from radiofix.scenes.meshes import ground
from radiofix.scenes.scene import Mesh, Scene
from radiofix.tracing.run import scene_map

TRIANGLE = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def surface(name: str, faces: int, part_of: str = "", building: bool = True) -> Mesh:
    return Mesh(name, TRIANGLE, np.tile([[0, 1, 2]], (faces, 1)), "brick", building, part_of)


def scene_of(*meshes: Mesh) -> Scene:
    none = np.empty(0, dtype=np.int32)
    return Scene("by hand", meshes, {}, (), np.empty((0, 3)), none.astype(np.int8), none)


def test_parts_of_one_building_have_its_number_wherever_they_stand_in_the_scene():
    made = scene_map(
        scene_of(
            surface("hall-wall", 2, "hall"),
            surface("shed", 1),
            ground((0, 0, 9, 9)),
            surface("hall-roof", 3, "hall"),
            surface("shed", 1),  # of the same name, and yet another house
        )
    )
    assert made.face_building.tolist() == [0, 0, 1, -1, -1, 0, 0, 0, 2]


def test_ground_is_no_building_whatever_it_is_part_of():
    made = scene_map(scene_of(surface("yard", 1, "hall", building=False), surface("w", 1, "hall")))
    assert made.face_building.tolist() == [-1, 0]


@pytest.mark.skipif(importlib.util.find_spec("sionna") is None, reason="Sionna RT is not installed")
@pytest.mark.parametrize(
    ("name", "count"),
    [("simple_street_canyon", 6), ("munich", 1188), ("etoile", 280)],
)
def test_walls_and_roof_of_a_real_house_are_one_building(name, count):
    scene = builtin(name, spacing=100.0)
    made = scene_map(scene)
    houses = made.face_building[made.face_building >= 0]
    assert np.unique(houses).tolist() == list(range(count))
    assert len(made.face_building) == sum(len(mesh.faces) for mesh in scene.meshes)
