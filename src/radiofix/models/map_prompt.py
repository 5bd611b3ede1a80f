"""Prompt tokens out of a map: Algorithm 1 of the SigMap paper, and what it is held against."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from radiofix.models.map_graph import MOST_NODES, MapGraph, map_graph
from radiofix.models.site_map import NEAR, CarriedMap, SiteMap
from radiofix.types import Sounding

METRES = 100.0
"""Coordinates of 1 for a network [m]."""
SAME_PLACE = 0.1
"""A link's station this close to one of the map is that one [m]."""
MOVED = 3.0
"""Vertices of a graph that are moved farther than this to be fewer are told of [m]."""


class Prompter(nn.Module, ABC):
    """Prompt tokens for each link."""

    def __init__(self, dim: int, prompts: int) -> None:
        """Takes its size.

        Args:
            dim: width of the encoder's tokens.
            prompts: tokens a link is given.
        """
        super().__init__()
        if prompts < 1:
            raise ValueError(f"prompts={prompts} must be at least 1")
        self.dim, self.prompts = dim, prompts

    @abstractmethod
    def forward(self, sounding: Sounding) -> Float[Tensor, "link prompt dim"]:
        """The prompts of each link."""


class ConstantPrompter(Prompter):
    """Learned tokens that no map has a say in: what a gain by a map is held against."""

    def __init__(self, dim: int, prompts: int = 1) -> None:
        super().__init__(dim, prompts)
        self.tokens = nn.Parameter(0.02 * torch.randn(prompts, dim))

    def forward(self, sounding: Sounding) -> Float[Tensor, "link prompt dim"]:
        """The same for every link."""
        return self.tokens.expand(len(sounding), -1, -1)


class SiteViews(nn.Module, ABC):
    """Something that is worked out of a map once for each station, and kept with the map."""

    def __init__(self, radius: float = NEAR) -> None:
        """Takes how much of the map concerns a station: what comes within `radius` [m] of it."""
        super().__init__()
        if radius <= 0:
            raise ValueError(f"radius={radius:g} m must be positive")
        self.site = CarriedMap()
        self.radius = radius

    @abstractmethod
    def view(self, near: SiteMap, pose: Float[Tensor, "6"]) -> Any:
        """What is kept of a station's part of the map; it stands and looks as its pose says."""

    def views(self, poses: Float[Tensor, "station 6"]) -> list[Any]:
        """What is kept of each station; worked out for those not met before."""
        kept = self.site.views
        keys = [tuple(pose) for pose in poses.tolist()]
        for key, pose in zip(keys, poses.cpu(), strict=True):
            if key not in kept:
                near = self.site.take().around(pose[:3], self.radius)
                if not near.buildings:
                    place = ", ".join(f"{v:.1f}" for v in pose[:3].tolist())
                    warnings.warn(
                        f"the station at ({place}) has no building of the model's map within "
                        f"{self.radius:g} m: give the model the map of its site",
                        stacklevel=2,
                    )
                kept[key] = self.view(near, pose)
        return [kept[key] for key in keys]


def station_poses(
    sounding: Sounding,
) -> tuple[Float[Tensor, "station 6"], Int[Tensor, " link"]]:
    """The distinct stations of some links, where they stand and look, and each link's."""
    distinct, of = torch.unique(sounding.station_pose, dim=0, return_inverse=True)
    return distinct, of


_TOLD = "told"
"""Under which it is kept that a map's vertices were told to be moved."""
_MADE = "made"
"""Under which graphs are kept with what they were made of."""


class _Graphs(SiteViews):
    """The graph around each station."""

    def __init__(self, radius: float, most: int) -> None:
        super().__init__(radius)
        self.most = most

    def views(self, poses: Float[Tensor, "station 6"]) -> list[Any]:
        """The graph of each station; of coarse ones it warns once for each map."""
        graphs = super().views(poses)
        moved = max((graph.moved for graph in graphs), default=0.0)
        if moved > MOVED and _TOLD not in self.site.views:
            self.site.views[_TOLD] = True
            warnings.warn(
                f"the map's graph is gathered into {self.most:,} vertices, which moves some of its "
                f"corners by up to {moved:.1f} m: give a larger `most` to move them less",
                stacklevel=2,
            )
        return graphs

    def view(self, near: SiteMap, pose: Float[Tensor, "6"]) -> MapGraph:
        """The graph of what is near, the station itself among its nodes.

        Stations that have the same around them, a whole city it may be, have one graph.
        """
        away = (near.stations - pose[:3]).norm(dim=-1)
        if not bool((away < SAME_PLACE).any()):
            stations = torch.cat([near.stations, pose[None, :3]])
            near = SiteMap(
                near.vertices,
                near.vertex_building,
                near.walls,
                near.levels,
                near.wall_building,
                stations,
            )
        made: list[tuple[SiteMap, MapGraph]] = self.site.views.setdefault(_MADE, [])
        graph = next((graph for known, graph in made if known.same(near)), None)
        if graph is None:
            graph = map_graph(near, self.most)
            made.append((near, graph))
        return graph


class GraphPrompter(Prompter):
    """Algorithm 1: embeddings of vertices and of stations, two graph layers, mean, projection.

    What surrounds a station within `radius` is its graph: at 5,000 m that is its whole city, one
    graph for all of its stations, as published.
    """

    def __init__(
        self,
        dim: int,
        prompts: int = 1,
        width: int = 32,
        radius: float = NEAR,
        most: int = MOST_NODES,
    ) -> None:
        """Takes its size.

        Args:
            dim: width of the encoder's tokens.
            prompts: tokens a link is given.
            width: of a node.
            radius: of the map around a station that is its graph [m].
            most: vertices in a graph.
        """
        super().__init__(dim, prompts)
        self.graphs = _Graphs(radius, most)
        self.vertex = _two_layers(3, width, width)
        self.station = _two_layers(3, width, width)
        self.layers = nn.ModuleList(self.layer(width) for _ in range(2))
        self.projection = _two_layers(width, width, prompts * dim)

    @abstractmethod
    def layer(self, width: int) -> nn.Module:
        """One layer of the graph network; it takes nodes and edges."""

    def forward(self, sounding: Sounding) -> Float[Tensor, "link prompt dim"]:
        """The prompts of the graph around each link's station."""
        poses, of = station_poses(sounding)
        views = self.graphs.views(poses)
        distinct = {id(graph): graph for graph in views}
        number = {key: n for n, key in enumerate(distinct)}
        graphs = MapGraph.join(list(distinct.values())).to(poses.device)
        tokens: Tensor = self.read(graphs)
        return tokens[torch.tensor([number[id(graph)] for graph in views], device=of.device)[of]]

    def read(self, graphs: MapGraph) -> Float[Tensor, "graph prompt dim"]:
        """Lines 2 to 11 of Algorithm 1, for each graph."""
        # In bfloat16 a street's coordinates would be rounded to metres.
        with torch.autocast(graphs.place.device.type, enabled=False):
            place = (graphs.place / METRES).float()
            known = torch.where(graphs.station[:, None], self.station(place), self.vertex(place))
            for layer in self.layers:
                known = layer(known, graphs.edge).relu()
            projected: Tensor = self.projection(_mean(known, graphs))
        return projected.view(graphs.graphs, self.prompts, self.dim)


class SummedGraphPrompter(GraphPrompter):
    """With the update as Algorithm 1 prints it: W h_i plus the sum of U h_j over neighbours j."""

    def layer(self, width: int) -> nn.Module:
        """Line 7, without bias, as printed."""
        from torch_geometric.nn import GraphConv

        made: nn.Module = GraphConv(width, width, aggr="add", bias=False)
        return made


class NormalisedGraphPrompter(GraphPrompter):
    """With the update as the text has it: D^-1/2 (A + I) D^-1/2 H W."""

    def layer(self, width: int) -> nn.Module:
        """The graph convolution, without bias, as printed."""
        from torch_geometric.nn import GCNConv

        made: nn.Module = GCNConv(width, width, bias=False)
        return made


def _mean(known: Float[Tensor, "node width"], graphs: MapGraph) -> Float[Tensor, "graph width"]:
    """Of the nodes of each graph."""
    total = known.new_zeros(graphs.graphs, known.shape[1]).index_add(0, graphs.graph, known)
    return total / torch.bincount(graphs.graph, minlength=graphs.graphs)[:, None]


def _two_layers(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))
