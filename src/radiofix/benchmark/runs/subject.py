"""A bench as its command and its pages know it: what it asks, of whom, and in which words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from radiofix.benchmark.runs.learned import Method
from radiofix.benchmark.runs.printed import Printed
from radiofix.benchmark.runs.protocols import Agenda, Protocol
from radiofix.benchmark.runs.scales import Scale


@dataclass(frozen=True)
class Column:
    """Of the table that tells the most in little."""

    title: str
    """With the statistic and the unit."""
    figure: str
    x: float
    """On the figure's axis."""

    @property
    def place(self) -> tuple[str, float]:
        """Where its numbers are."""
        return self.figure, self.x


SMALL = (
    "Smoke is a check that everything runs: unless stores are given made-up towns of some dozen "
    "users stand for those of the paper, labels are a few whatever a figure says, and no number "
    "means anything."
)


@dataclass(frozen=True)
class Subject:
    """One paper's bench."""

    agenda: Agenda
    scales: Mapping[str, Scale]
    methods: Callable[[str], tuple[Method, ...]]
    """All rows of the tables, by what radiofix-nano begins with."""
    printed: Callable[[str, float, str], tuple[Printed, ...]]
    """What the paper says at a point of a figure of a method."""
    title: str
    """Of its page."""
    caution: str
    """Above everything."""
    at: Mapping[str, str]
    """What is to be said of a scale, by its name."""
    beside: str
    """Above each table with the paper's numbers."""
    heading: Callable[[Protocol], str]
    """What the paper calls a figure."""
    words: Mapping[str, str]
    """Statistics as its tables call them."""
    remarks: Mapping[str, str]
    """What must be known beside a figure, by the figure's name."""
    held_against: Mapping[str, tuple[str, ...]]
    """The methods that all others of a figure are held against, by the figure's name."""
    digest: tuple[Column, ...] = ()
    """What stands in one table above all figures."""

    def scale(self, name: str) -> Scale:
        """A scale by its name."""
        if name not in self.scales:
            raise ValueError(f"no scale {name}: there are {', '.join(self.scales)}")
        return self.scales[name]
