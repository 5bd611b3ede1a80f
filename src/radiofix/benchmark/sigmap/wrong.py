"""Wrong maps as parts of a run: who is told them learns, and is asked, with them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.benchmark.runs.lessons import Lesson, Users
from radiofix.benchmark.runs.site import Site
from radiofix.data.store import open_paths
from radiofix.models.echo_head import EchoHead
from radiofix.models.map_prompt import Prompter, SiteViews
from radiofix.models.map_reading import read_map
from radiofix.models.parts import Part
from radiofix.models.site_map import CarriedMap, SiteMap, give_map
from radiofix.models.wrong_maps import cities, exchanged, stations_inside, with_buildings_of
from radiofix.training.localizing import Finetuning
from radiofix.types import Sounding

ELSEWHERE = (
    "munich",
    "etoile",
    "florence",
    "san_francisco",
    "kept-1",
    "kept-2",
    "kept-3",
    "whole",
)
"""Stores whose buildings may stand for those of another, in this order."""


@dataclass(frozen=True)
class AnotherCitys:
    """Another city's buildings round the stations: of several cities the next one's."""

    stores: tuple[str, ...]
    """Of paths, the first counts that is of another city and has no house where a station is; where
    none is, the first that is of another city, with a warning."""

    def __call__(self, site_map: SiteMap) -> SiteMap:
        """The stations as they are, the buildings of somewhere else."""
        if int(cities(site_map).max()) > 0:
            return exchanged(site_map)
        others = (read_map(open_paths(store)) for store in self.stores)
        tellable = (
            with_buildings_of(site_map, other)
            for other in others
            if not _same_place(site_map, other)
        )
        first = None
        for told in tellable:
            inside = stations_inside(told)
            if not inside:
                return told
            first = first or (told, inside)
        if first is None:
            raise ValueError("no store of another city is given: name one by --stores munich=STORE")
        warnings.warn(
            f"of no other city the houses leave all stations outdoors, {first[1]} of "
            f"{len(site_map.stations)} stand inside of those that are told: give more --stores",
            stacklevel=2,
        )
        return first[0]


def _same_place(one: SiteMap, other: SiteMap) -> bool:
    """Whether maps share a station, or any corner."""
    stations = torch.cdist(one.stations[:, :2], other.stations[:, :2]).min() < 1.0
    return bool(stations) or torch.equal(one.vertices, other.vertices)


def elsewhere(site: Site, users: Users) -> AnotherCitys:
    """Another city's map, of the stores that are given: first of those of the same kind.

    A procedural city that is told a real one's houses is told something strange, not only wrong;
    so is a city whose stations stand inside of them, which nobody could be told by mistake.
    """
    given = [name for name in ELSEWHERE if name in site.stores]
    alike = sorted(given, key=lambda name: _drawn(name) != _drawn(users.store))
    return AnotherCitys(tuple(site.stores[name] for name in alike))


def _drawn(store: str) -> bool:
    """Whether a store's city is procedural, or O1's street, which is drawn as well."""
    return store == "whole" or store.startswith("kept-")


def no_elsewhere(site: Site) -> str | None:
    """Why no store can be told another city's map; None: each can."""
    given = sum(name in site.stores for name in ELSEWHERE)
    return None if given > 1 else "another city's map needs a second store"


class MisledMap(CarriedMap):
    """A carrier that is given a right map and has a wrong one."""

    def __init__(self, mistake: AnotherCitys) -> None:
        super().__init__()
        self.mistake = mistake

    def put(self, site_map: SiteMap) -> None:
        """Takes what the mistake makes of the map."""
        super().put(self.mistake(site_map))


class Misled(Prompter):
    """Another prompter, told wrong maps alone."""

    def __init__(self, dim: int, prompter: Part, mistake: Part) -> None:
        """Takes the prompter and what it is told in place of each map."""
        inner = prompter.build(dim=dim)
        super().__init__(dim, inner.prompts)
        self.prompter = inner
        wrong = mistake.build()
        for part in list(inner.modules()):
            if isinstance(part, SiteViews):
                part.site = MisledMap(wrong)

    def forward(self, sounding: Sounding) -> Float[Tensor, "link prompt dim"]:
        """The other prompter's."""
        prompts: Tensor = self.prompter(sounding)
        return prompts


class MisledEchoHead(EchoHead):
    """A head that follows waves among wrong walls alone."""

    def __init__(self, mistake: Part, dim: int = 128) -> None:
        """Takes what it is told in place of each map."""
        super().__init__(dim)
        self.sights.site = MisledMap(mistake.build())


def asked_elsewhere(module: Finetuning, lesson: Lesson, site: Site) -> None:
    """Tells a network that has learnt with the right map another city's before it is asked."""
    right = read_map(open_paths(site.store(lesson.users)))
    give_map(module, elsewhere(site, lesson.users)(right))


def misled(prompter: Part, mistake: AnotherCitys) -> Part:
    """A prompter as a recipe names it, told wrong maps alone."""
    own = f"{Misled.__module__}.{Misled.__name__}"
    return Part(own, {"prompter": prompter.plain, "mistake": _named(mistake).plain})


def misled_head(mistake: AnotherCitys) -> Part:
    """A head that follows waves, told wrong maps alone."""
    own = f"{MisledEchoHead.__module__}.{MisledEchoHead.__name__}"
    return Part(own, {"mistake": _named(mistake).plain})


def _named(mistake: AnotherCitys) -> Part:
    path = f"{type(mistake).__module__}.{type(mistake).__name__}"
    return Part(path, {k: _plain(v) for k, v in vars(mistake).items()})


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
