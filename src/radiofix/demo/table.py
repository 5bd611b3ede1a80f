"""How far off each method is: the numbers that are printed and that stand in the page."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from radiofix.demo.contest import Contest
from radiofix.training.evaluate import summary

HEAD = ("method", "was given", "half within", "mean", "90 % within")


@dataclass(frozen=True)
class Row:
    """One method's errors in three numbers [m]."""

    key: str
    name: str
    needs: str
    median: float
    mean: float
    p90: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As people read it."""
        return (self.name, self.needs, *map(metres, (self.median, self.mean, self.p90)))


def rows(contest: Contest) -> tuple[Row, ...]:
    """One for each method, ours first."""
    found = []
    for entry in contest.entries:
        told = summary(torch.from_numpy(contest.error(entry)))
        found.append(
            Row(entry.key, entry.name, entry.needs, told["median"], told["mean"], told["p90"])
        )
    return tuple(found)


def plain(table: tuple[Row, ...]) -> str:
    """The table for a terminal."""
    lines = [HEAD, *(row.cells for row in table)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def metres(value: float) -> str:
    """A length with its unit."""
    return f"{value:.1f} m"
