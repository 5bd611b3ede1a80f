import time
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon, box

from radiofix.scenes.meshes import ground, prism
from radiofix.scenes.outdoors import free_grid, ground_height, inside_buildings
from radiofix.scenes.scene import Mesh

RING = box(0, 0, 20, 20).difference(box(6, 6, 14, 14))


def as_map(meshes) -> SimpleNamespace:
    """The meshes as a store's group `map/` holds them."""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    return SimpleNamespace(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate([m.faces + s for m, s in zip(meshes, starts[:-1], strict=True)]),
        face_building=np.concatenate(
            [np.full(len(m.faces), i if m.building else -1) for i, m in enumerate(meshes)]
        ),
    )


def test_inside_is_under_the_roof_and_neither_in_the_court_nor_above_nor_beside():
    meshes = (ground((-50, -50, 50, 50)), prism("house", RING, 9.0, "brick"))
    points = [(3, 3, 1.5), (10, 10, 1.5), (3, 3, 9.5), (-3, 3, 1.5), (3, 3, 8.9), (17, 10, 0)]
    expected = [True, False, False, False, True, True]
    assert inside_buildings(points, meshes).tolist() == expected
    assert inside_buildings(points, as_map(meshes)).tolist() == expected


def test_inside_agrees_with_the_footprints_of_many_random_houses():
    rng = np.random.default_rng(1)
    outlines = [
        Polygon(rng.uniform(-100, 100, 2) + rng.uniform(2, 9) * np.stack([np.cos(a), np.sin(a)], 1))
        for a in (np.sort(rng.uniform(0, 2 * np.pi, n)) for n in rng.integers(3, 9, 150))
    ]
    heights = rng.uniform(3, 30, len(outlines))
    meshes = [
        prism(f"h{i}", o, float(h), "brick")
        for i, (o, h) in enumerate(zip(outlines, heights, strict=True))
    ]
    points = np.column_stack([rng.uniform(-110, 110, (4000, 2)), rng.uniform(0, 30, 4000)])
    under = np.stack([shapely.contains_xy(o, points[:, 0], points[:, 1]) for o in outlines])
    expected = (under & (points[:, 2] < heights[:, None])).any(0)
    assert expected.sum() > 100
    assert (inside_buildings(points, meshes) == expected).all()


def test_an_open_shell_shelters_as_a_closed_solid_does():
    house = prism("house", box(0, 0, 10, 10), 6.0, "brick")
    top = (house.vertices[house.faces][:, :, 2] == 6.0).all(-1)
    roof = Mesh("house-roof", house.vertices, house.faces[top], "metal")
    walls = Mesh("house-wall", house.vertices, house.faces[2:6], "brick")
    assert inside_buildings([(5, 5, 1.5), (12, 5, 1.5)], (roof, walls)).tolist() == [True, False]


def test_no_place_slips_through_the_seam_of_two_triangles():
    house = prism("house", shapely.affinity.rotate(box(-30, -20, 30, 20), 17.3), 6.0, "brick")
    top = house.vertices[house.faces][(house.vertices[house.faces][:, :, 2] == 6.0).all(-1)]
    share = np.linspace(0.001, 0.999, 999)[:, None]
    for triangle in top:
        for i in range(3):
            seam = triangle[i] * share + triangle[(i + 1) % 3] * (1 - share)
            centre = (seam - seam.mean(0)) * 0.999 + seam.mean(0)
            assert inside_buildings(centre - [0, 0, 3], (house,)).all()


def test_half_a_million_points_under_thousands_of_houses_take_seconds():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1000, (3000, 2))
    meshes = [
        prism(f"h{i}", box(x, y, x + 9, y + 7), 8.0, "brick") for i, (x, y) in enumerate(corners)
    ]
    points = np.column_stack([rng.uniform(0, 1000, (500_000, 2)), np.full(500_000, 1.5)])
    start = time.perf_counter()
    share = inside_buildings(points, meshes).mean()
    assert time.perf_counter() - start < 20
    assert share == pytest.approx(1 - np.exp(-3000 * 63 / 1e6), abs=0.02)


def test_the_ground_is_found_on_a_slope_and_nowhere_beyond_it():
    corners = np.array([[0, 0, 0], [10, 0, 2], [10, 10, 5], [0, 10, 3]], dtype=float)
    slope = Mesh("terrain", corners, np.array([[0, 1, 2], [0, 2, 3]]), "concrete", building=False)
    places = [(5, 0), (7, 7), (2, 4), (11, 5)]
    expected = [0.2 * 5, 0.2 * 7 + 0.3 * 7, 0.2 * 2 + 0.3 * 4, np.nan]
    assert ground_height(places, (slope,)) == pytest.approx(expected, nan_ok=True)


def test_a_free_grid_stands_on_the_slope_clear_of_walls_and_numbers_its_rows():
    corners = np.array([[0, 0, 0], [20, 0, 4], [20, 10, 4], [0, 10, 0]], dtype=float)
    slope = Mesh("terrain", corners, np.array([[0, 1, 2], [0, 2, 3]]), "concrete", building=False)
    house = prism("house", box(4, 2, 8, 6), 12.0, "brick", floor=-2.0)
    points, rows = free_grid((0, 0, 30, 10), 1.0, 1.5, (slope, house), clearance=0.9)
    # 21 x 11 places on the slope; the house with its walls takes 5 x 5 of them.
    assert len(points) == 21 * 11 - 5 * 5
    assert points[:, 2] == pytest.approx(0.2 * points[:, 0] + 1.5)
    assert rows == pytest.approx(points[:, 1] + 1)
    wider, _ = free_grid((0, 0, 30, 10), 1.0, 1.5, (slope, house), clearance=1.1)
    assert len(wider) == len(points) - 4 * 5


@pytest.mark.parametrize(
    ("bounds", "spacing", "message"),
    [
        ((0.0, 0.0, 0.0, 9.0), 1.0, "bounds must be"),
        ((0.0, 0.0, 9.0), 1.0, "bounds must be"),
        ((0.0, 0.0, 9.0, 9.0), -1.0, "spacing must be positive, got -1"),
        ((0.0, 0.0, 9.0, 9.0), 1e-6, "use a wider one"),
        ((1.0, 1.0, 9.0, 9.0), 1.0, "no free place"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_one_line(bounds, spacing, message):
    house = prism("house", box(0, 0, 10, 10), 5.0, "brick")
    with pytest.raises(ValueError, match=message) as error:
        free_grid(bounds, spacing, 1.5, (house,))
    assert "\n" not in str(error.value)
