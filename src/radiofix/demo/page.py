"""The page: plain words, drawings and the table, in one file that asks the network for nothing."""

from __future__ import annotations

import string
from collections.abc import Callable
from html import escape

import numpy as np
from numpy.typing import NDArray

from radiofix.demo.channel import arrivals, example, heard, ways
from radiofix.demo.contest import HERE, Contest
from radiofix.demo.curves import distribution
from radiofix.demo.street import SHARE, closer, held, outside, switched, whole
from radiofix.demo.table import HEAD, Row, metres
from radiofix.version import __version__

Floats = NDArray[np.float64]

TEMPLATE = HERE / "page.html"
RESOLVED = "about 30 m"
"""c over the bandwidth of 10 MHz."""


def page(contest: Contest, table: tuple[Row, ...]) -> str:
    """The whole of it."""
    shown = example(contest)
    close, close_count = closer(contest)
    best = table[0]
    apart = _nearest_label(contest)
    words = {
        "phones": f"{len(contest.links.users):,}",
        "labels": f"{contest.labels:,}",
        "learnt": f"{len(contest.learnt):,}",
        "checked": f"{len(contest.checked):,}",
        "median": metres(best.median),
        "p90": metres(best.p90),
        "length": f"{_length(contest):.0f} m",
        "apart": metres(apart),
        "comparison": _comparison(table),
        "table": _table(table),
        "switches": _switches(contest),
        "map_lying": whole(contest, lying=True),
        "map_standing": whole(contest, lying=False),
        "outside": _outside(contest),
        "closer": close,
        "close_count": f"{close_count}",
        "share": f"{100 * SHARE:g} %",
        "held": f"{100 * held(contest):.0f} %",
        "curves": distribution(contest),
        "legend": "".join(_legend(row) for row in table),
        "ways": ways(contest, shown),
        "heard": heard(contest, shown),
        "arrivals": arrivals(shown),
        "distance": f"{shown.distance:.0f} m",
        "paths": f"{len(shown.lengths)}",
        "spread": metres(float(np.sort(shown.lengths)[: _first(shown.lengths)].max()
                               - shown.lengths.min())),
        "spread_of": f"{_first(shown.lengths)}",
        "resolved": RESOLVED,
        "error": metres(float(contest.error(contest.entries[0])[shown.user])),
        "seed": f"{contest.recipe.seed}",
        "version": __version__,
    }  # fmt: skip
    return string.Template(TEMPLATE.read_text()).substitute(words)


def _comparison(table: tuple[Row, ...]) -> str:
    """How ours stands beside the best of the others, whoever is ahead."""
    ours, others = table[0], table[1:]

    def beside(share: str, number: Callable[[Row], float]) -> str:
        best = min(others, key=number)
        word = "the next best is" if number(ours) <= number(best) else "better is"
        told = f"{share} of the phones within {metres(number(ours))}"
        return f"Ours finds {told}; {word} {best.name} with {metres(number(best))}."

    half = beside("half", lambda row: row.median)
    nine = beside("nine out of ten", lambda row: row.p90)
    return escape(f"{half} {nine}")


def _table(table: tuple[Row, ...]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in HEAD)
    lines = []
    for row in table:
        name, *cells = row.cells
        mark = f'<span class="swatch {row.key}"></span>'
        lines.append(
            f'<tr class="row-{row.key}"><th scope="row">{mark}{escape(name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _switches(contest: Contest) -> str:
    """One button a method, of which one is chosen: the style sheet does the rest."""
    inputs = []
    for entry in switched(contest):
        chosen = " checked" if entry.key == "ours" else ""
        inputs.append(
            f'<input type="radio" name="method" id="show-{entry.key}"{chosen}>'
            f'<label for="show-{entry.key}"><span class="swatch {entry.key}"></span>'
            f"{escape(entry.name)}</label>"
        )
    return "".join(inputs)


def _legend(row: Row) -> str:
    return f'<li><span class="swatch {row.key}"></span>{escape(row.name)}</li>'


def _outside(contest: Contest) -> str:
    counts = [(entry.name, outside(contest, entry)) for entry in switched(contest)]
    told = ", ".join(f"{count} of {name}" for name, count in counts if count)
    return escape(f"Outside the picture: {told}.") if told else ""


def _length(contest: Contest) -> float:
    along = contest.store.dataset["user_position"].values[:, 1]
    return float(along.max() - along.min())


def _nearest_label(contest: Contest) -> float:
    """Median distance of a phone from the nearest labelled point [m]."""
    places = contest.store.dataset["user_position"].values[:, :2]
    known = places[np.concatenate([contest.learnt, contest.checked])]
    away = np.linalg.norm(contest.links.truth[:, None, :2] - known[None], axis=-1)
    return float(np.median(away.min(1)))


def _first(lengths: Floats) -> int:
    """Half of the paths, the earliest."""
    return max(2, (len(lengths) + 1) // 2)
