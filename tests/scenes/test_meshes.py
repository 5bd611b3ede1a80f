import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon, box

from radiofix.scenes.meshes import ground, prism


def volume(mesh) -> float:
    """Of a closed solid, by the divergence theorem [m3]."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def edge_counts(mesh) -> dict:
    """How often each directed edge is used."""
    edges = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    return {tuple(edge): count for edge, count in zip(unique.tolist(), counts, strict=True)}


@pytest.mark.parametrize(
    "outline",
    [
        box(0, 0, 7, 3),
        box(0, 0, 7, 3).reverse(),
        Polygon([(0, 0), (10, 0), (10, 4), (4, 4), (4, 9), (0, 9)]),
        box(0, 0, 20, 20).difference(box(5, 5, 9, 9)).difference(box(12, 12, 15, 18)),
    ],
)
def test_a_prism_is_closed_faces_outward_and_has_area_times_height_as_its_volume(outline):
    mesh = prism("house", outline, 11.0, "brick", floor=2.5)
    assert volume(mesh) == pytest.approx(outline.area * 11.0)
    assert mesh.vertices[:, 2].min() == 2.5
    assert mesh.vertices[:, 2].max() == 13.5
    counts = edge_counts(mesh)
    assert set(counts.values()) == {1}
    assert all((b, a) in counts for a, b in counts), "an edge has no neighbour on its other side"


def test_the_ground_looks_up_and_is_no_building():
    mesh = ground((-1.0, -2.0, 5.0, 8.0))
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    normal = np.cross(b - a, c - a) / 2
    assert normal[:, 2].min() > 0
    assert normal[:, 2].sum() == pytest.approx(60.0)
    assert not mesh.building


def test_no_house_without_height_or_with_a_crossing_outline():
    with pytest.raises(ValueError, match="height of shed must be positive, got 0"):
        prism("shed", box(0, 0, 1, 1), 0.0, "wood")
    with pytest.raises(ValueError, match="footprint of bow is no simple polygon: Self-inter"):
        prism("bow", shapely.Polygon([(0, 0), (4, 4), (4, 0), (0, 4)]), 3.0, "wood")
