"""A map as a graph: who is whose neighbour, for good maps and for degenerate ones."""

import numpy as np
import pytest
import torch
from scipy.spatial import Delaunay

from models.sites import street
from radiofix.models.map_graph import MapGraph, delaunay_edges, map_graph, simplified


def pairs(edges):
    return {tuple(pair) for pair in edges.tolist()}


def test_five_points_have_the_edges_worked_out_by_hand():
    # A point inside a tetrahedron is connected with all four corners, and they with each other.
    corners = np.array([[0.0, 0, 0], [6, 0, 0], [0, 6, 0], [0, 0, 6], [1, 1, 1]])
    assert pairs(delaunay_edges(corners)) == {(i, j) for i in range(5) for j in range(i + 1, 5)}


def test_edges_are_those_of_an_empty_circumsphere():
    place = np.random.default_rng(0).normal(size=(40, 3))
    found = pairs(delaunay_edges(place))
    # Independently: a tetrahedron is Delaunay's if no other point lies inside its circumsphere.
    expected = set()
    for corners in Delaunay(place).simplices:
        base = place[corners[1:]] - place[corners[0]]
        centre = np.linalg.solve(2 * base, (base**2).sum(1)) + place[corners[0]]
        radius = np.linalg.norm(place[corners[0]] - centre)
        assert (np.linalg.norm(place - centre, axis=1) > radius * (1 - 1e-9)).all()
        expected |= {(min(i, j), max(i, j)) for i in corners for j in corners if i != j}
    assert found == expected


def connected(count, edges):
    group = np.arange(count)
    for _ in range(count):
        for a, b in edges:
            group[[a, b]] = min(group[a], group[b])
    return len(set(group.tolist())) == 1


@pytest.mark.parametrize(
    ("place", "edges"),
    [
        (np.array([[1.0, 2, 3]]), set()),
        (np.array([[0.0, 0, 0], [1, 1, 1]]), {(0, 1)}),
        (np.array([[2.0, 2, 2], [0, 0, 0], [1, 1, 1]]), {(0, 2), (1, 2)}),
        (np.array([[0.0, 0, 5], [3, 0, 5], [0, 3, 5]]), {(0, 1), (0, 2), (1, 2)}),
        (np.array([[0.0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]), {(0, 1), (0, 2), (0, 3)}),
    ],
    ids=["one", "two", "collinear", "one triangle", "duplicates"],
)
def test_few_collinear_and_duplicate_points_are_connected_as_they_can_be(place, edges):
    assert pairs(delaunay_edges(place)) == edges


def test_coplanar_points_are_triangulated_in_their_plane():
    plan = np.random.default_rng(1).uniform(0, 100, (30, 2))
    tilted = plan @ np.array([[1.0, 0, 0.3], [0, 1, -0.2]]) + [7, 8, 9]
    # The plane keeps no angles here; a rotation of it does.
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    flat = np.column_stack([plan, np.zeros(30)]) @ turn.T
    assert pairs(delaunay_edges(flat)) == pairs(delaunay_edges(plan))
    assert connected(30, delaunay_edges(tilted))


def test_a_regular_grid_whose_boxes_share_a_sphere_is_one_piece():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    edges = delaunay_edges(grid)
    assert connected(64, edges)
    sides = {
        (i, j)
        for i in range(64)
        for j in range(i + 1, 64)
        if np.isclose(np.linalg.norm(grid[i] - grid[j]), 1)
    }
    assert sides <= pairs(edges)


def test_a_large_map_is_simplified_within_the_stated_bound():
    rng = np.random.default_rng(3)
    cloud = rng.uniform(0, [300, 300, 30], (5000, 3))
    kept, moved = simplified(cloud, 400)
    assert 100 < len(kept) <= 400
    nearest = np.linalg.norm(cloud[:, None] - kept, axis=-1).min(1)
    assert nearest.max() <= moved
    assert moved < 60
    same, nothing = simplified(np.repeat(cloud[:50], 3, axis=0), 400)
    assert (len(same), nothing) == (50, 0.0)
    np.testing.assert_allclose(np.sort(same, 0), np.sort(cloud[:50], 0), atol=1e-9)


def test_a_graph_has_vertices_and_stations_and_both_ways_of_every_edge():
    site_map = street()
    graph = map_graph(site_map)
    assert graph.place.shape == (34, 3)
    assert graph.station.sum() == 2
    assert graph.moved == 0
    torch.testing.assert_close(
        graph.place[graph.station] + site_map.vertices.mean(0), site_map.stations
    )
    torch.testing.assert_close(
        graph.place[~graph.station].mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0
    )
    edges = pairs(graph.edge.T)
    assert {(b, a) for a, b in edges} == edges
    assert len(edges) == graph.edge.shape[1]
    assert all(a != b for a, b in edges)


def test_joined_graphs_keep_to_themselves():
    one, two = map_graph(street()), map_graph(street(), most=8)
    assert two.moved > 0
    both = MapGraph.join([one, two, one])
    assert both.graphs == 3
    assert (both.graph[both.edge[0]] == both.graph[both.edge[1]]).all()
    last = both.graph == 2
    torch.testing.assert_close(both.place[last], one.place)
    start = int(last.nonzero()[0, 0])
    inside = both.edge[:, (both.edge >= start).all(0)]
    assert torch.equal(inside - start, one.edge)
