"""Procedural cities: as many different ones as there are seeds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import shapely
from shapely.affinity import rotate
from shapely.geometry import Polygon, box

from radiofix.scenes.footprints import (
    Footprint,
    Spots,
    best_apart,
    beyond,
    facade_spots,
    free_of,
    open_depth,
    solids,
    station,
)
from radiofix.scenes.meshes import ground
from radiofix.scenes.outdoors import free_grid
from radiofix.scenes.scene import Scene
from radiofix.types import Station

STREET_WIDTHS = (9.0, 12.0, 16.0, 22.0, 30.0)
"""From an alley to a boulevard [m]."""
BLOCK_SIDES = (45.0, 110.0)
"""Shortest and longest side of a block [m]."""
STOREY = 3.1
"""[m]."""
MATERIALS = {
    "concrete": 0.4,
    "brick": 0.3,
    "glass": 0.12,
    "marble": 0.1,
    "wood": 0.05,
    "metal": 0.03,
}
"""What houses are made of, and how often."""
BLOCK_KINDS = {"terrace": 0.6, "courtyard": 0.15, "towers": 0.17, "park": 0.08}
STATION_COUNTS = (4, 8)
FACADE_HEIGHTS = (4.0, 6.0, 8.0, 10.0, 15.0)
"""Over the street [m]."""
FROM_WALL = 0.6
"""How far a station stands off its facade [m]."""


def city(
    seed: int,
    blocks: Sequence[int] = (4, 3),
    stations: int | None = None,
    spacing: float = 2.0,
    frequency: float = 3.5e9,
) -> Scene:
    """A city of `blocks` (along x, along y) from a seed; users `spacing` [m] apart in its streets.

    All else is drawn: streets, houses, heights, materials, how the whole is turned, where the
    stations hang, and how many they are (4 to 8) unless `stations` says.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if len(blocks) != 2 or min(blocks) < 1 or max(blocks) > 40:
        raise ValueError(f"blocks must be two numbers from 1 to 40, got {blocks}")
    if stations is not None and stations < 1:
        raise ValueError(f"stations must be at least 1, got {stations}")
    rng = np.random.default_rng(seed)
    grounds, area = _blocks(rng, blocks)
    turn = float(rng.uniform(-45.0, 45.0))
    houses = _houses(rng, grounds, turn)
    streets = rotate(area.difference(shapely.union_all(grounds)), turn, origin=(0, 0))
    if stations is None:
        stations = int(rng.integers(STATION_COUNTS[0], STATION_COUNTS[1] + 1))
    user_height = float(np.round(rng.uniform(1.5, 2.0), 2))
    outside = beyond(rotate(area, turn, origin=(0, 0)))
    placed = _stations(rng, houses, streets, outside, stations, frequency)
    x_from, y_from, x_to, y_to = streets.bounds
    meshes = (ground((x_from - 20, y_from - 20, x_to + 20, y_to + 20)), *solids(houses))
    position, row = free_grid(streets.bounds, spacing, user_height, meshes)
    in_street = shapely.contains_xy(streets, position[:, 0], position[:, 1])
    if not in_street.any():
        raise ValueError(f"no user fits into the streets at spacing={spacing:g}: use a smaller one")
    position, row = position[in_street], row[in_street]
    return Scene(
        name=f"city-{seed}",
        meshes=meshes,
        stations=placed,
        default_stations=tuple(placed)[:4],
        user_position=position,
        user_group=np.ones(len(position), dtype=np.int8),
        user_row=row,
        assumptions={
            "seed": seed,
            "blocks": list(blocks),
            "turned_deg": turn,
            "user_height_m": user_height,
            "user_spacing_m": spacing,
            "procedural": "drawn, no real place",
        },
    )


def _blocks(rng: np.random.Generator, count: Sequence[int]) -> tuple[list[Polygon], Polygon]:
    """The blocks' grounds round the origin, and the whole area with its outer streets."""
    lines = []
    for number in count:
        streets = rng.choice(STREET_WIDTHS, number + 1)
        sides = rng.uniform(*BLOCK_SIDES, number)
        ends = np.cumsum(np.concatenate([[0.0], np.column_stack([streets[:-1], sides]).ravel()]))
        lines.append((ends[1::2] - (ends[-1] + streets[-1]) / 2, sides, ends[-1] + streets[-1]))
    (xs, widths, width), (ys, depths, depth) = lines
    grounds = [
        box(x, y, x + w, y + d)
        for x, w in zip(xs, widths, strict=True)
        for y, d in zip(ys, depths, strict=True)
    ]
    return grounds, box(-width / 2, -depth / 2, width / 2, depth / 2)


def _houses(rng: np.random.Generator, grounds: Sequence[Polygon], turn: float) -> list[Footprint]:
    houses: list[Footprint] = []
    kinds = rng.choice(list(BLOCK_KINDS), len(grounds), p=list(BLOCK_KINDS.values()))
    kinds[rng.integers(len(grounds))] = "terrace"  # a city has at least one street of houses
    for number, (block, kind) in enumerate(zip(grounds, kinds, strict=True), start=1):
        outlines = _OUTLINES[str(kind)](rng, block)
        base = rng.integers(9, 22) if kind == "towers" else rng.integers(2, 8)
        storeys = np.maximum(1, base + rng.integers(-2, 3, len(outlines)))
        tops = STOREY * storeys + rng.uniform(0.5, 3.0, len(outlines))
        materials = rng.choice(list(MATERIALS), len(outlines), p=list(MATERIALS.values()))
        houses += [
            Footprint(f"block-{number}-house-{i}", rotate(o, turn, origin=(0, 0)), float(t), str(m))
            for i, (o, t, m) in enumerate(zip(outlines, tops, materials, strict=True), start=1)
        ]
    return houses


def _terrace(rng: np.random.Generator, block: Polygon) -> list[Polygon]:
    """Houses wall to wall round the block, here and there a gap, a yard between them."""
    x_from, y_from, x_to, y_to = block.bounds
    depth = min(rng.uniform(10.0, 16.0), 0.35 * min(x_to - x_from, y_to - y_from))
    setback = rng.choice([0.0, 0.0, 1.5, 3.0])
    x_from, y_from, x_to, y_to = block.buffer(-setback, join_style="mitre").bounds
    houses = []
    for south in (True, False):
        cuts = _cuts(rng, x_from, x_to)
        for a, b in pairwise(cuts.tolist()):
            inward = depth - rng.uniform(0.0, 3.0)
            near, far = (y_from, y_from + inward) if south else (y_to - inward, y_to)
            houses.append(box(a, near, b, far))
    for west in (True, False):
        cuts = _cuts(rng, y_from + depth, y_to - depth)
        for a, b in pairwise(cuts.tolist()):
            inward = depth - rng.uniform(0.0, 3.0)
            near, far = (x_from, x_from + inward) if west else (x_to - inward, x_to)
            houses.append(box(near, a, far, b))
    standing = rng.random(len(houses)) > 0.12
    standing[rng.integers(len(houses))] = True
    return [house for house, stands in zip(houses, standing, strict=True) if stands]


def _courtyard(rng: np.random.Generator, block: Polygon) -> list[Polygon]:
    """One great house round a court, now and then with a gateway into it."""
    wing = rng.uniform(0.2, 0.3) * min(np.subtract(block.bounds[2:], block.bounds[:2]))
    house = block.difference(block.buffer(-wing, join_style="mitre"))
    if rng.random() < 0.4:
        middle, half = block.centroid.x, rng.uniform(2.0, 5.0)
        gate = box(middle - half, block.bounds[1], middle + half, block.centroid.y)
        house = house.difference(gate)
    return [house]


def _towers(rng: np.random.Generator, block: Polygon) -> list[Polygon]:
    """High houses that stand apart."""
    x_from, y_from, x_to, y_to = block.bounds
    columns, lines = rng.integers(1, 3, 2)
    width, depth = (x_to - x_from) / columns, (y_to - y_from) / lines
    towers = []
    for column, line in np.ndindex(int(columns), int(lines)):
        w, d = width * rng.uniform(0.35, 0.7), depth * rng.uniform(0.35, 0.7)
        x = x_from + column * width + rng.uniform(0.0, width - w)
        y = y_from + line * depth + rng.uniform(0.0, depth - d)
        towers.append(box(x, y, x + w, y + d))
    return towers


def _park(rng: np.random.Generator, block: Polygon) -> list[Polygon]:
    """No house, or a lone pavilion."""
    pavilion = rotate(block.centroid.buffer(rng.uniform(3.0, 6.0), quad_segs=2), rng.uniform(0, 45))
    return [pavilion] if rng.random() < 0.5 else []


_OUTLINES = {"terrace": _terrace, "courtyard": _courtyard, "towers": _towers, "park": _park}


def _cuts(rng: np.random.Generator, start: float, end: float) -> np.ndarray:
    """Where party walls stand between two ends, houses some 9 to 28 m wide."""
    number = max(1, round((end - start) / rng.uniform(12.0, 22.0)))
    shares = rng.uniform(0.7, 1.3, number)
    walls = np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
    return np.asarray(start + (end - start) * walls)


def _stations(
    rng: np.random.Generator,
    houses: Sequence[Footprint],
    streets: Polygon,
    outside: Footprint,
    count: int,
    frequency: float,
) -> dict[int, Station]:
    """Stations in front of facades that look on a street, some low, some on the roof's edge."""
    spots = free_of(facade_spots(houses, FROM_WALL, longer=4.0), houses, 0.9 * FROM_WALL)
    ahead = spots.place + 4.0 * np.column_stack([np.cos(spots.azimuth), np.sin(spots.azimuth)])
    spots = spots[shapely.contains_xy(streets, ahead[:, 0], ahead[:, 1])]
    spots = spots[rng.permutation(len(spots))[: 16 * count]]
    if len(spots) < count:
        raise ValueError(f"stations={count} do not fit on {len(spots)} facades: use more blocks")
    score = open_depth(spots, [*houses, outside]) * rng.uniform(0.5, 1.0, len(spots))
    spots = spots[best_apart(spots.place, score, count, apart=60.0)]
    return {
        i: station(i, (*place, _height(rng, houses[house].top)), yaw, frequency)
        for i, (place, yaw, house) in enumerate(_rows(spots), start=1)
    }


def _height(rng: np.random.Generator, roof: float) -> float:
    """On the facade, or (one in three, and on low houses) a mast's length over the roof's edge."""
    low = [height for height in FACADE_HEIGHTS if height < roof - 1.0]
    on_roof = rng.random() < 1 / 3 or not low
    return float(roof + rng.uniform(1.0, 3.0)) if on_roof else float(rng.choice(low))


def _rows(spots: Spots) -> list[tuple[list[float], float, int]]:
    return list(
        zip(spots.place.tolist(), spots.azimuth.tolist(), spots.house.tolist(), strict=True)
    )
