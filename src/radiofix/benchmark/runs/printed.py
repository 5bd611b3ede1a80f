"""What a paper prints for a method, with its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """One method's number at one point of a figure, or the range that the text leaves it."""

    figure: str
    x: float
    """On the figure's axis."""
    method: str
    statistic: str
    """Of `metrics.Summary`."""
    low: float
    high: float
    """As `low` where the number is known."""
    place: str
    worked_back: bool = False
    """From a percentage, not printed itself."""

    def __str__(self) -> str:
        """For a table; a star says that it was worked back."""
        ends = dict.fromkeys([self.low, self.high])
        return " to ".join(map(self._told, ends)) + ("*" if self.worked_back else "")

    def _told(self, value: float) -> str:
        """With the digits that the paper prints, two at least."""
        printed = len(repr(value).partition(".")[2])
        return f"{value:.{2 if self.worked_back else max(2, printed)}f}"
