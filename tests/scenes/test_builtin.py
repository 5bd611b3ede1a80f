import importlib.util

import numpy as np
import pytest
import shapely

from radiofix.scenes import builtin as room
from radiofix.scenes.builtin import CITIES, builtin, read_ply
from radiofix.scenes.outdoors import Cover, building_triangles, ground_height, inside_buildings

needs_sionna = pytest.mark.skipif(
    importlib.util.find_spec("sionna") is None, reason="Sionna RT is not installed"
)
BUILDINGS = {
    "munich": 2366,
    "etoile": 564,
    "florence": 2638,
    "san_francisco": 4734,
    "simple_street_canyon": 6,
}
"""Meshes less the ground: in all but the last, walls and roof are a mesh each."""


@pytest.fixture(scope="module", params=list(CITIES))
def scene(request):
    return builtin(request.param)


def stations(scene) -> np.ndarray:
    return np.stack([station.position.numpy() for station in scene.stations.values()])


def sees(scene, station: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Which users a station sees over the roofs, by the height of the ray over each metre."""
    share = np.linspace(0, 1, 121)[1:-1, None, None]
    ray = (station + share * (users - station)).reshape(-1, 3)
    blocked = Cover(building_triangles(scene.meshes)).highest(ray) > ray[:, 2]
    return ~blocked.reshape(len(share), len(users)).any(0)


@needs_sionna
def test_one_mesh_is_the_ground_and_it_lies_under_all_others(scene):
    (floor,) = [mesh for mesh in scene.meshes if not mesh.building]
    assert sum(mesh.building for mesh in scene.meshes) == BUILDINGS[scene.name]
    corners = np.concatenate([mesh.vertices for mesh in scene.meshes if mesh.building])
    low, high = floor.vertices.min(0), floor.vertices.max(0)
    assert (corners[:, :2] > low[:2] - 1).all()
    assert (corners[:, :2] < high[:2] + 1).all()
    normal = np.cross(*np.moveaxis(np.diff(floor.vertices[floor.faces], axis=1), 1, 0))
    assert np.abs(normal[:, 2]).sum() / 2 == pytest.approx(
        np.prod(high - low, where=[1, 1, 0]), rel=1e-3
    )
    assert {mesh.material for mesh in scene.meshes} <= {
        "concrete",
        "marble",
        "metal",
        "brick",
        "wood",
        "glass",
    }
    assert floor.material == "concrete"


@needs_sionna
def test_users_are_many_and_none_is_inside_a_building(scene):
    assert 5_000 <= len(scene.user_position) <= 50_000
    assert not inside_buildings(scene.user_position, scene.meshes).any()
    some = scene.user_position[:: len(scene.user_position) // 1500]
    seen_from_above = shapely.polygons(building_triangles(scene.meshes)[:, :, :2])
    roofs = shapely.STRtree(seen_from_above[shapely.area(seen_from_above) > 0.01])
    hits, _ = roofs.query(shapely.points(some[:, :2]), predicate="intersects")
    assert len(hits) == 0


@needs_sionna
def test_users_stand_on_the_ground_even_where_it_is_a_hill(scene):
    floor = ground_height(scene.user_position, scene.meshes)
    assert scene.user_position[:, 2] - floor == pytest.approx(1.5)
    if scene.name == "san_francisco":
        assert np.ptp(floor) > 20
    else:
        assert np.abs(floor).max() < 0.1


@needs_sionna
def test_stations_stand_free_and_see_open_ground_before_them(scene):
    place = stations(scene)
    assert len(place) == 4
    assert not inside_buildings(place, scene.meshes).any()
    assert not Cover(building_triangles(scene.meshes)).within(place, 0.3).any()
    for number, station in scene.stations.items():
        position, yaw = station.position.numpy(), station.orientation[0].item()
        offset = scene.user_position - position
        ahead = offset[:, 0] * np.cos(yaw) + offset[:, 1] * np.sin(yaw) > 5
        users = scene.user_position[ahead & (np.linalg.norm(offset, axis=1) < 100)][::11]
        seen = sees(scene, position, users)
        assert seen.sum() > 30, f"station {number}"


@needs_sionna
def test_spacing_and_area_are_the_callers_to_choose():
    scene = builtin("simple_street_canyon", spacing=4.0, bounds=(-80.0, -6.0, 80.0, 7.0))
    # One street without houses: 41 columns in 4 rows.
    assert len(scene.user_position) == 41 * 4
    assert scene.user_row.tolist() == np.repeat([1, 2, 3, 4], 41).tolist()


@needs_sionna
def test_street_canyon_has_the_published_materials_and_heights():
    meshes = {mesh.name: mesh for mesh in builtin("simple_street_canyon").meshes}
    assert meshes["building_2"].material == "brick"
    assert meshes["building_6"].material == "wood"
    assert meshes["building_1"].vertices[:, 2].max() == pytest.approx(21.8, abs=0.1)


def test_without_sionna_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"munich comes with Sionna RT.*pip install radiofix\[trace\]"
    ):
        builtin("munich")
    with pytest.raises(ValueError, match="no built-in city 'atlantis'"):
        builtin("atlantis")


def ply(vertices: np.ndarray, faces: np.ndarray, kind: str = "float") -> bytes:
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment by hand\nelement vertex {len(vertices)}\n"
        + "".join(f"property {kind} {axis}\n" for axis in "xyz")
        + f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), dtype=[("n", "u1"), ("v", "<i4", 3)])
    rows["n"], rows["v"] = 3, faces
    return header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes()


def test_a_ply_file_comes_back_as_it_was_written_and_anything_else_is_refused(tmp_path):
    vertices, faces = np.arange(12.0).reshape(4, 3), np.array([[0, 1, 2], [0, 2, 3]])
    good = ply(vertices, faces)
    (tmp_path / "good.ply").write_bytes(good)
    read = read_ply(tmp_path / "good.ply")
    assert (read[0] == vertices).all()
    assert (read[1] == faces).all()
    double = ply(vertices, faces, "double")
    for bad in (b"", b"ply\n", good[:-1], good.replace(b"little", b"big"), double):
        (tmp_path / "bad.ply").write_bytes(bad)
        with pytest.raises(ValueError, match="is no binary PLY of triangles"):
            read_ply(tmp_path / "bad.ply")
