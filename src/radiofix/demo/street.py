"""The street from above: the whole of it, and a closer look with ellipses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radiofix.demo.contest import Contest, Entry
from radiofix.demo.svg import View, dots, drawing, group, line, segments, triangle, words
from radiofix.demo.table import metres
from radiofix.pictures.scene_view import building_outlines
from radiofix.serving.ellipses import ellipses

Floats = NDArray[np.float64]

MARGIN = 14.0
"""Of buildings, shown beside the street [m]."""
EDGE = np.array([MARGIN, 2.0])
"""Beyond the users, in x and y [m]."""
REACH = 36.0
"""Length of street of the closer look [m]."""
SHOWN = 24
"""Phones of the closer look at most: more ellipses would hide each other."""
SHARE = 0.9
"""That ellipses hold."""
SWITCHED = ("ours", "scratch", "knn", "nomp")
"""Methods among which the page switches."""


def whole(contest: Contest, lying: bool) -> str:
    """Buildings, stations, labelled points, and each phone with a line to where it was put."""
    places = contest.store.dataset["user_position"].values
    low, high = places.min(0), places.max(0)
    view = View(
        (low[0] - EDGE[0], low[1] - EDGE[1]),
        (high[0] + EDGE[0], high[1] + EDGE[1]),
        1120 / (high[1] - low[1] + 2 * EDGE[1]) if lying else 2.75,
        lying,
    )
    known = places[np.concatenate([contest.learnt, contest.checked])]
    truth = contest.links.truth
    shapes = [*_ground(contest, view), dots(view(known), "labelled", 1.4)]
    for entry in switched(contest):
        lines = segments(view(truth), view(entry.position), "away")
        ends = dots(view(entry.position), entry.key, 1.3)
        shapes.append(group([lines, ends], f"of-{entry.key}"))
    shapes.append(dots(view(truth), "true", 1.3))
    shapes += _stations(contest, view, 6.0)
    shapes += _scale(view, 50.0)
    kind = "lying" if lying else "standing"
    return drawing(
        view.size, "The street from above, every phone and where it was put", shapes, kind
    )


def closer(contest: Contest) -> tuple[str, int]:
    """A stretch of street where errors are as large as usual, and how many phones it shows."""
    truth, ours = contest.links.truth, contest.entries[0]
    chosen = _usual(contest)
    low = truth[:, 0].min() - MARGIN, truth[chosen, 1].min() - MARGIN / 2
    high = truth[:, 0].max() + MARGIN, truth[chosen, 1].max() + MARGIN / 2
    view = View(low, high, 400 / (high[0] - low[0]))
    outline = ellipses(contest.fused.covariance[chosen]).outline(
        contest.fused.position[chosen, :2], SHARE
    )
    error = contest.error(ours)
    shapes = _ground(contest, view)
    for user, ring in zip(chosen, outline, strict=True):
        start, end = view(truth[user]), view(ours.position[user])
        shapes.append(
            group(
                [
                    line(view(ring), "ellipse", closed=True),
                    segments(start[None], end[None], "away"),
                    dots(start[None], "true", 3.2),
                    dots(end[None], "ours", 3.2),
                ],
                "phone",
                f"off by {metres(error[user])}",
            )
        )
    shapes += _stations(contest, view, 7.0)
    shapes += _scale(view, 10.0)
    return drawing(view.size, "A stretch of street with ellipses", shapes, "close"), len(chosen)


def switched(contest: Contest) -> tuple[Entry, ...]:
    """The methods that the map shows, one at a time."""
    return tuple(entry for entry in contest.entries if entry.key in SWITCHED)


def outside(contest: Contest, entry: Entry) -> int:
    """Phones that a method puts outside the picture of the whole street."""
    places = contest.store.dataset["user_position"].values
    low, high = places.min(0)[:2] - EDGE, places.max(0)[:2] + EDGE
    flat = entry.position[:, :2]
    return int(((flat < low) | (flat > high)).any(1).sum())


def held(contest: Contest) -> float:
    """Share of the phones inside their stated 90 % ellipse."""
    away = (contest.fused.position - contest.links.truth)[:, :2]
    white = np.linalg.solve(contest.fused.covariance[:, :2, :2], away[..., None])[..., 0]
    return float(np.mean((away * white).sum(1) <= -2 * np.log(1 - SHARE)))


def _usual(contest: Contest) -> NDArray[np.int64]:
    """Rows of phones in the stretch whose median error is nearest to everybody's."""
    along = contest.links.truth[:, 1]
    error = contest.error(contest.entries[0])
    near = np.abs(along[:, None] - along[None]) <= REACH / 2
    enough = near.sum(1) >= min(SHOWN, int(near.sum(1).max()))
    medians = np.array([np.median(error[row]) for row in near])
    distance = np.where(enough, np.abs(medians - np.median(error)), np.inf)
    inside = np.flatnonzero(near[int(distance.argmin())])
    # Every so-manieth along the street, not those that look best.
    inside = inside[along[inside].argsort(kind="stable")]
    step = max(1, -(-len(inside) // SHOWN))
    chosen: NDArray[np.int64] = inside[::step]
    return chosen


def _ground(contest: Contest, view: View) -> list[str]:
    outlines = building_outlines(contest.store.map)
    return [line(view(np.asarray(o.exterior.coords)), "building", closed=True) for o in outlines]


def _stations(contest: Contest, view: View, reach: float) -> list[str]:
    shapes = []
    for station in contest.store.stations:
        place = station.position.numpy()
        if view.inside(place):
            shapes.append(
                group([triangle(view(place), reach)], "mast", f"base station {station.name}")
            )
    return shapes


def _scale(view: View, length: float) -> list[str]:
    """A bar of so many metres and the way to the north, in the corner."""
    width, height = view.size
    end = 10 + length * view.scale
    bar = line(np.array([[10, height - 8.0], [end, height - 8.0]]), "bar")
    north = "north →" if view.lying else "north ↑"
    return [
        bar,
        words((10, height - 13), f"{length:g} m"),
        words((width - 8, height - 8), north, anchor="end"),
    ]
