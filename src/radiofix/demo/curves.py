"""Which share of the phones is found within how many metres, method by method."""

from __future__ import annotations

import numpy as np

from radiofix.demo.contest import Contest
from radiofix.demo.svg import drawing, line, words

WIDTH, HEIGHT = 400.0, 290.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 44.0
LEAST, MOST = 0.1, 100.0
"""Ends of the axis [m]."""
DRAWN = ("ours", "scratch", "knn", "nomp", "omp", "zero")


def distribution(contest: Contest) -> str:
    """Shares upward, errors on a logarithmic axis."""

    def across(metres: float) -> float:
        share = np.log(metres / LEAST) / np.log(MOST / LEAST)
        return float(LEFT + share * (WIDTH - LEFT - RIGHT))

    def up(share: float) -> float:
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    shapes = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = up(share)
        shapes.append(line(np.array([[LEFT, y], [WIDTH - RIGHT, y]]), "grid"))
        shapes.append(words((LEFT - 6, y + 4), f"{100 * share:g} %", anchor="end"))
    for metres in (0.1, 0.3, 1, 3, 10, 30, 100):
        x = across(metres)
        shapes.append(line(np.array([[x, up(0)], [x, up(1)]]), "grid"))
        shapes.append(words((x, up(0) + 16), f"{metres:g}", anchor="middle"))
    shapes.append(
        words(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8), "error in metres", anchor="middle")
    )
    for entry in reversed([e for e in contest.entries if e.key in DRAWN]):
        error = np.sort(contest.error(entry)).clip(min=LEAST)
        found = np.arange(1, len(error) + 1) / len(error)
        # Beyond the axis a curve ends, below the whole.
        kept = np.unique(np.linspace(0, len(error) - 1, 120).astype(int))
        kept = kept[error[kept] <= MOST]
        begin = [across(min(error[0], MOST)), up(0)]
        rest = [[across(e), up(s)] for e, s in zip(error[kept], found[kept], strict=True)]
        curve = np.array([begin, *rest])
        shapes.append(line(curve, f"curve {entry.key}"))
    return drawing((WIDTH, HEIGHT), "Share of phones found within a distance", shapes, "chart")
