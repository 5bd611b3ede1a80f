"""What a model is told of a site: its buildings and its stations, as tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

NEAR = 400.0
"""What of a map concerns a station lies within this distance of it, unless told otherwise [m]."""


@dataclass(frozen=True, slots=True)
class SiteMap:
    """The buildings and stations of one site, or of several far apart in one frame.

    A building is known twice: by the vertices of its mesh, and by the walls of its outline, each
    as high as its highest point. `radiofix.models.map_reading` makes one, checked.
    """

    vertices: Float[Tensor, "vertex 3"]
    """Corners of the buildings' meshes [m]."""
    vertex_building: Int[Tensor, " vertex"]
    """The building of each, from 0."""
    walls: Float[Tensor, "wall 2 2"]
    """Where each begins and ends in plan; on the way its building is to the left [m]."""
    levels: Float[Tensor, "wall 2"]
    """From which height to which each reaches [m]."""
    wall_building: Int[Tensor, " wall"]
    """The building of each, from 0."""
    stations: Float[Tensor, "station 3"]
    """[m]."""

    @property
    def buildings(self) -> int:
        """How many there are."""
        return int(self.wall_building.max()) + 1 if len(self.wall_building) else 0

    def around(self, place: Float[Tensor, "3"], radius: float = NEAR) -> SiteMap:
        """What comes within `radius` [m] of a place, in plan: buildings whole or not at all."""
        place = place.to(self.walls)
        near = torch.zeros(self.buildings, dtype=torch.bool, device=self.walls.device)
        close = distance_to(self.walls - place[:2]) <= radius
        near[self.wall_building[close]] = True
        heard = (self.stations[:, :2] - place[:2]).norm(dim=-1) <= radius
        return dataclasses.replace(self.only(near), stations=self.stations[heard])

    def same(self, other: SiteMap) -> bool:
        """Whether two hold the same buildings and stations, number for number."""
        names = [field.name for field in dataclasses.fields(self)]
        return all(torch.equal(getattr(self, name), getattr(other, name)) for name in names)

    def only(self, chosen: Bool[Tensor, " building"]) -> SiteMap:
        """The chosen buildings, numbered anew, with all stations."""
        number = chosen.cumsum(0) - 1
        vertex, wall = chosen[self.vertex_building], chosen[self.wall_building]
        return SiteMap(
            self.vertices[vertex],
            number[self.vertex_building[vertex]],
            self.walls[wall],
            self.levels[wall],
            number[self.wall_building[wall]],
            self.stations,
        )

    def shifted(self, by: Float[Tensor, "building 3"]) -> SiteMap:
        """The same buildings elsewhere, each moved by its own way [m]; stations stay."""
        return dataclasses.replace(
            self,
            vertices=self.vertices + by[self.vertex_building],
            walls=self.walls + by[self.wall_building, None, :2],
            levels=self.levels + by[self.wall_building, 2:],
        )

    @property
    def middles(self) -> Float[Tensor, "building 3"]:
        """The middle of each building's walls in plan, at the height of its base [m]."""
        count, ends = self.buildings, self.walls.mean(1)
        length = (self.walls[:, 1] - self.walls[:, 0]).norm(dim=-1)
        total = ends.new_zeros(count).index_add(0, self.wall_building, length)
        plan = ends.new_zeros(count, 2).index_add(0, self.wall_building, length[:, None] * ends)
        base = torch.full_like(total, torch.inf)
        base = base.scatter_reduce(0, self.wall_building, self.levels[:, 0], "amin")
        return torch.cat([plan / total[:, None], base[:, None]], -1)


def nearest_point(walls: Float[Tensor, "*wall 2 2"]) -> Float[Tensor, "*wall 2"]:
    """The point of each wall that is nearest to the origin, in plan [m]."""
    start, along = walls[..., 0, :], walls[..., 1, :] - walls[..., 0, :]
    squared = along.square().sum(-1).clamp(min=1e-18)
    share = (-(start * along).sum(-1) / squared).clamp(0, 1)
    return start + share[..., None] * along


def distance_to(walls: Float[Tensor, "*wall 2 2"]) -> Float[Tensor, "*wall"]:
    """How far each wall is from the origin, in plan [m]."""
    distance: Tensor = nearest_point(walls).norm(dim=-1)
    return distance


class CarriedMap(nn.Module):
    """A site's map among a model's buffers: it is saved with the weights, and comes with them.

    A map is data, no weight: a model is built without one and takes whatever size is loaded.
    """

    def __init__(self) -> None:
        super().__init__()
        empty = {
            "vertices": torch.zeros(0, 3, dtype=torch.float64),
            "vertex_building": torch.zeros(0, dtype=torch.int64),
            "walls": torch.zeros(0, 2, 2, dtype=torch.float64),
            "levels": torch.zeros(0, 2, dtype=torch.float64),
            "wall_building": torch.zeros(0, dtype=torch.int64),
            "stations": torch.zeros(0, 3, dtype=torch.float64),
        }
        for name, values in empty.items():
            self.register_buffer(name, values)
        self.views: dict[Hashable, Any] = {}
        """What was worked out of this map, by station: forgotten with the map."""

    def drop(self) -> None:
        """Has no map any more."""
        for field in dataclasses.fields(SiteMap):
            setattr(self, field.name, self.get_buffer(field.name)[:0].clone())
        self.views.clear()

    @property
    def empty(self) -> bool:
        """Whether no map was given yet."""
        return not self.get_buffer("walls").numel()

    def put(self, site_map: SiteMap) -> None:
        """Takes a map in place of the one it has."""
        for field in dataclasses.fields(SiteMap):
            held = self.get_buffer(field.name)
            setattr(self, field.name, getattr(site_map, field.name).to(held).clone())
        self.views.clear()

    def take(self) -> SiteMap:
        """The map, on the CPU: geometry is worked out there, once a station."""
        if self.empty:
            raise ValueError(
                "this model has no map of its site yet: name a store with its buildings by --map, "
                "in Python by give_map(model, read_map(store))"
            )
        names = [field.name for field in dataclasses.fields(SiteMap)]
        return SiteMap(**{name: self.get_buffer(name).cpu() for name in names})

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, held in list(self.named_buffers(recurse=False)):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape[1:] == held.shape[1:]:
                setattr(self, name, held.new_empty(saved.shape))
        self.views.clear()
        super()._load_from_state_dict(state_dict, prefix, *rest)


def give_map(module: object, site_map: SiteMap) -> int:
    """Gives a site's map to every part of a model that carries one; how many there are."""
    carriers = _carriers(module)
    for carrier in carriers:
        carrier.put(site_map)
    return len(carriers)


def lacks_map(module: object) -> bool:
    """Whether a model needs a map that nobody gave it."""
    return any(carrier.empty for carrier in _carriers(module))


def forget_map(module: object) -> int:
    """Takes its site's map from a model that is to know others; how many parts carried one.

    What was taught in many cities is of use elsewhere; their buildings are not, and would travel
    with its weights.
    """
    carriers = _carriers(module)
    for carrier in carriers:
        carrier.drop()
    return len(carriers)


def _carriers(module: object) -> list[CarriedMap]:
    if not isinstance(module, nn.Module):
        return []
    return [part for part in module.modules() if isinstance(part, CarriedMap)]
