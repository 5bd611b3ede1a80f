"""Figures of a report: cells, and the curves and distributions that are drawn of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiofix.benchmark import metrics
from radiofix.benchmark.runs.outcomes import Outcome
from radiofix.benchmark.runs.printed import Printed
from radiofix.benchmark.runs.protocols import Protocol
from radiofix.benchmark.runs.subject import Subject

Array = NDArray[np.float64]
COLOURS = 6
"""That a picture tells apart."""
NEXT_TO_NOTHING = 0.01
"""Of an error: less than that has no multiples worth telling [m]."""


@dataclass(frozen=True)
class Cell:
    """One method at one point of a figure, over its seeds."""

    figure: str
    split: str
    x: float
    method: str
    statistic: str
    value: float
    """The figure's statistic: its mean over the seeds."""
    interval: tuple[float, float]
    """95 % of it when seeds and users are drawn again."""
    summary: metrics.Summary
    """Of all users and seeds together."""
    seeds: tuple[int, ...]
    labels: int
    nearest_label: float | None
    """Mean over the test users [m]."""
    milliseconds: float
    paper: Printed | None
    """Of the figure's statistic."""
    papers: tuple[Printed, ...]
    """Of others too."""
    error: Array
    """Of all users and seeds."""
    each: Mapping[int, Array]
    """Of all users, by the seed."""
    squares: Mapping[int, NDArray[np.int64]] | None
    """That they stand in, where test users have squares of their own."""
    calibration: metrics.Calibration | None
    direction: float | None
    """Median error of u, where an angle was asked for."""
    outcome: Outcome
    """Of the first seed."""
    limit: float | None = None
    """The statistic of what the channels allow at this point, where it was worked out."""
    survey: float | None = None
    """The same of what labels at every other place would leave."""

    @property
    def ratio(self) -> float | None:
        """The value over the limit's; None: there is none, or it is next to nothing."""
        return _over(self.value, self.limit)

    @property
    def survey_ratio(self) -> float | None:
        """The value over the survey's."""
        return _over(self.value, self.survey)

    def plain(self) -> dict[str, Any]:
        """For JSON: numbers alone."""
        left_out = {"error", "outcome", "each", "squares"}
        own = {name: value for name, value in vars(self).items() if name not in left_out}
        honest = None if self.calibration is None else asdict(self.calibration)
        paper = None if self.paper is None else asdict(self.paper)
        papers = [asdict(one) for one in self.papers]
        told: dict[str, Any] = {
            "summary": asdict(self.summary),
            "calibration": honest,
            "paper": paper,
        }
        told["papers"] = papers
        return {**own, **told, "ratio": self.ratio, "survey_ratio": self.survey_ratio}


def _over(value: float, least: float | None) -> float | None:
    return None if least is None or least < NEXT_TO_NOTHING else value / least


@dataclass(frozen=True)
class Line:
    """One method in a picture."""

    name: str
    family: int
    member: int
    """Within the family."""
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    marks: tuple[tuple[float, float], ...] = ()
    """What the paper prints, where it can be drawn."""


@dataclass(frozen=True)
class Panel:
    """One split of a figure."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Figure:
    """All cells of a protocol."""

    protocol: Protocol
    cells: tuple[Cell, ...]
    looks: Mapping[str, tuple[int, int]]
    """Family and place in it, by the method's name."""
    subject: Subject

    @property
    def name(self) -> str:
        """As the protocol's."""
        return self.protocol.name

    @property
    def curve(self) -> bool:
        """Whether it has an axis, not just a distribution."""
        return len({point.x for point in self.protocol.points}) > 1

    def at(self, split: str) -> tuple[Cell, ...]:
        """The cells of one split, method by method."""
        return tuple(cell for cell in self.cells if cell.split == split)

    @cached_property
    def xs(self) -> tuple[float, ...]:
        """Places on the axis where there is anything."""
        return tuple(sorted({cell.x for cell in self.cells}))

    def of(self, split: str, method: str) -> tuple[Cell, ...]:
        """A method's cells along the axis."""
        return tuple(sorted((c for c in self.at(split) if c.method == method), key=lambda c: c.x))

    def methods(self, split: str) -> tuple[str, ...]:
        """In the order of all methods."""
        there = {cell.method for cell in self.at(split)}
        return tuple(name for name in self.looks if name in there)

    def drawn(self, method: str) -> tuple[int, int]:
        """Colour and dashes of a method on all splits: its family's and its own in it.

        Where most methods are of few families, or families are more than colours, each has a
        colour of its own instead.
        """
        shown = {cell.method for cell in self.cells}
        there = tuple(name for name in self.looks if name in shown)
        families = {self.looks[name][0] for name in there}
        if 2 * len(families) > len(there) and max(families) < COLOURS:
            return self.looks[method]
        index = there.index(method)
        return index % COLOURS, index // COLOURS

    def printed(self, split: str, method: str) -> dict[float, tuple[Printed, ...]]:
        """What the paper says of a method along the axis, whether we have run it or not."""
        if not self.protocol.compares(method):
            return {}
        each = {x: printed_of(self.subject, self.protocol, split, x, method) for x in self.xs}
        return {x: told for x, told in each.items() if told}

    def stated(self, split: str, method: str) -> dict[float, Printed]:
        """Of it the figure's own statistic."""
        wanted = self.protocol.statistic
        each = self.printed(split, method).items()
        return {x: paper for x, told in each for paper in told if paper.statistic == wanted}

    @property
    def panels(self) -> tuple[Panel, ...]:
        """What is to be drawn."""
        line = self._curve if self.curve else self._distribution
        return tuple(
            Panel(
                f"split {split}",
                tuple(line(split, name, self.of(split, name)) for name in self.methods(split)),
            )
            for split in self.protocol.splits
            if self.at(split)
        )

    def _curve(self, split: str, name: str, cells: Sequence[Cell]) -> Line:
        value, low, high = (
            np.array(v)
            for v in ([c.value for c in cells], *zip(*(c.interval for c in cells), strict=True))
        )
        marks = tuple(
            (x, paper.low)
            for x, paper in self.stated(split, name).items()
            if paper.low == paper.high
        )
        x = np.array([c.x for c in cells])
        return Line(name, *self.drawn(name), x, value, low, high, marks)

    def _distribution(self, split: str, name: str, cells: Sequence[Cell]) -> Line:
        (cell,) = cells
        error, share = metrics.distribution(cell.error)
        marks = tuple(
            mark for paper in cell.papers if (mark := _on_distribution(paper)) is not None
        )
        return Line(name, *self.drawn(name), error, share, marks=marks)


_WITHIN = {"within_1": 1.0, "within_3": 3.0}
"""Errors that a share is of, by its statistic."""


def _on_distribution(paper: Printed) -> tuple[float, float] | None:
    """Where a paper's number lies on a distribution of errors; a mean has no place there."""
    if paper.low != paper.high:
        return None
    if paper.statistic == "p50":
        return paper.low, 0.5
    return (_WITHIN[paper.statistic], paper.low) if paper.statistic in _WITHIN else None


def printed_of(
    subject: Subject, protocol: Protocol, split: str, x: float, method: str
) -> tuple[Printed, ...]:
    """What the paper prints of a method at a point of a figure, on its own split alone."""
    return subject.printed(protocol.name, x, method) if protocol.printed_of(split) else ()
