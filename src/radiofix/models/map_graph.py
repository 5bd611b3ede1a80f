"""Buildings and stations as one graph: the nodes and edges of section 3.4 of the SigMap paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError
from torch import Tensor

from radiofix.models.site_map import SiteMap

Array = NDArray[np.float64]
Pairs = NDArray[np.int64]
MOST_NODES = 4096
"""Vertices of a graph at most; a map with more is simplified."""
FLAT = 1e-7
"""A spread below this part of the widest one is none."""
SAME = 1e-3
"""Corners this close to each other are one [m]."""


@dataclass(frozen=True, slots=True)
class MapGraph:
    """One graph, or several side by side."""

    place: Float[Tensor, "node 3"]
    """From the middle of the graph's buildings [m]."""
    station: Bool[Tensor, " node"]
    """Whether a node is a station; else it is a building's vertex."""
    edge: Int[Tensor, "2 edge"]
    """Pairs of nodes, each in both orders, none of a node with itself."""
    graph: Int[Tensor, " node"]
    """Which graph each node belongs to."""
    moved: float
    """How far the simplification moved any vertex, at most [m]; 0: nothing was simplified."""

    @property
    def graphs(self) -> int:
        """How many there are."""
        return int(self.graph.max()) + 1 if len(self.graph) else 0

    def to(self, device: torch.device | str) -> MapGraph:
        """The same graphs on another device."""
        return MapGraph(
            self.place.to(device),
            self.station.to(device),
            self.edge.to(device),
            self.graph.to(device),
            self.moved,
        )

    @staticmethod
    def join(graphs: Sequence[MapGraph]) -> MapGraph:
        """Graphs side by side, numbered in order; no edge goes from one to another."""
        nodes = np.cumsum([0, *(len(one.place) for one in graphs)])
        numbers = np.cumsum([0, *(one.graphs for one in graphs)])
        return MapGraph(
            torch.cat([one.place for one in graphs]),
            torch.cat([one.station for one in graphs]),
            torch.cat([g.edge + int(n) for g, n in zip(graphs, nodes[:-1], strict=True)], 1),
            torch.cat([g.graph + int(n) for g, n in zip(graphs, numbers[:-1], strict=True)]),
            max(one.moved for one in graphs),
        )


def map_graph(site_map: SiteMap, most: int = MOST_NODES) -> MapGraph:
    """The graph of a map's vertices and stations, its edges those of a Delaunay triangulation.

    Args:
        site_map: a part of a map, as large as the graph is to be.
        most: vertices that are kept; more are gathered into cubes, as small as that allows.
    """
    vertices, moved = simplified(site_map.vertices.numpy(), most)
    stations = site_map.stations.numpy()
    place = np.concatenate([vertices, stations])
    if not len(place):
        raise ValueError("a graph of no buildings and no stations was asked for: widen the radius")
    middle = vertices.mean(0) if len(vertices) else place.mean(0)
    pairs = delaunay_edges(place)
    return MapGraph(
        torch.from_numpy(place - middle),
        torch.arange(len(place)) >= len(vertices),
        torch.from_numpy(np.concatenate([pairs, pairs[:, ::-1]]).T.copy()),
        torch.zeros(len(place), dtype=torch.int64),
        moved,
    )


def simplified(vertices: Array, most: int) -> tuple[Array, float]:
    """Vertices without duplicates, at most so many, and how far any was moved [m].

    Vertices in one cube become their mean; no vertex moves farther than a cube's diagonal.
    """
    if most < 1:
        raise ValueError(f"most={most} vertices cannot be kept: keep at least 1")
    kept = _gathered(vertices, SAME)[0]
    if len(kept) <= most:
        return kept, 0.0
    # The fewer are to be left, the larger a cube; surfaces fill the square of an edge's cubes.
    cube = 2 * SAME * (len(kept) / most) ** 0.5
    while len(kept) > most:
        kept, where = _gathered(vertices, cube)
        cube *= 1.25
    return kept, float(np.linalg.norm(vertices - kept[where], axis=-1).max())


def _gathered(vertices: Array, cube: float) -> tuple[Array, Pairs]:
    """Mean of the vertices in each cube that has any, and the cube of each vertex."""
    cell = np.floor(vertices / cube + 0.5).astype(np.int64)
    _, where, count = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    where = where.reshape(-1)
    total = np.zeros((len(count), vertices.shape[1]))
    np.add.at(total, where, vertices)
    return total / count[:, None], where


def delaunay_edges(place: Array) -> Pairs:
    """Pairs (edge, 2) of points that a Delaunay triangulation connects, each pair once, sorted.

    Points on one plane or one line are triangulated there. Points at one place are connected with
    each other through the first of them, which alone is part of the triangulation.
    """
    distinct, first, where = np.unique(place, axis=0, return_index=True, return_inverse=True)
    pairs = first[_of_distinct(distinct)] if len(distinct) > 1 else np.zeros((0, 2), np.int64)
    own = first[where.reshape(-1)]
    twins = np.flatnonzero(own != np.arange(len(place)))
    pairs = np.concatenate([pairs, np.column_stack([own[twins], twins])])
    return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64)


def _of_distinct(place: Array) -> Pairs:
    centred = place - place.mean(0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    dimensions = int((spread > FLAT * spread[0]).sum())
    flat = centred @ axes[:dimensions].T
    if dimensions == 1:
        order = np.argsort(flat[:, 0], kind="stable")
        return np.column_stack([order[:-1], order[1:]])
    try:
        found = Delaunay(flat)
    except QhullError:
        # Joggled input always triangulates; the joggle is a rounding error's size.
        found = Delaunay(flat, qhull_options="QJ Qbb")
    corners = found.simplices.shape[1]
    first, second = np.triu_indices(corners, 1)
    sides = np.stack([found.simplices[:, first], found.simplices[:, second]], -1).reshape(-1, 2)
    # Points that rounding left out hang on the vertex next to them.
    return np.concatenate([sides, found.coplanar[:, [0, 2]]]).astype(np.int64)
