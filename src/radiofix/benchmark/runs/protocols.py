"""What figures ask: points on an axis, each a lesson and a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.scales import Scale

REGION, RANDOM = "region", "random"
SPLITS = (REGION, RANDOM)
"""The headline: test users far from labelled ones; and the papers': among them."""


@dataclass(frozen=True)
class Point:
    """One place on a figure's axis."""

    x: float
    lesson: Lesson
    test: Trial


@dataclass(frozen=True)
class Protocol:
    """One figure. With points at a single place it is a distribution of errors, else a curve."""

    name: str
    title: str
    axis: str
    """What its points differ in."""
    points: tuple[Point, ...]
    """With the lessons of the first split; test users of points at one place count together."""
    statistic: str = "mean"
    """Which number of `metrics.Summary` the paper prints."""
    ours: bool = False
    """Whether the paper has no such figure."""
    splits: tuple[str, ...] = field(default=SPLITS)
    methods: tuple[str, ...] | None = None
    """Names of those that it compares; None: all."""
    once: bool = False
    """Whether one seed says enough where a scale is sparing."""
    once_on: tuple[str, ...] = ()
    """Splits of which it does."""

    def at(self, split: str) -> tuple[Point, ...]:
        """The points on a split."""
        return tuple(replace(p, lesson=replace(p.lesson, split=split)) for p in self.points)

    @cached_property
    def every(self) -> tuple[Point, ...]:
        """The points on all splits, the headline first."""
        return tuple(point for split in self.splits for point in self.at(split))

    @property
    def unit(self) -> str:
        """Of its errors."""
        return self.points[0].lesson.question.unit

    def printed_of(self, split: str) -> bool:
        """Whether a paper's number is of this split: papers draw users at random where both are."""
        return split == RANDOM or RANDOM not in self.splits

    def compares(self, method: str) -> bool:
        """Whether a method has a row in it."""
        return self.methods is None or method in self.methods


@dataclass(frozen=True)
class Agenda:
    """All that a bench asks."""

    bench: str
    """As `radiofix bench` calls it."""
    protocols: tuple[Protocol, ...]
    stores: Mapping[str, str]
    """What the stores are that its users are of."""
    tuned: Lesson
    """At which rates of learning are compared."""
    beside: frozenset[str] = frozenset()
    """Methods that answer a question beside the figures': one seed where a scale is sparing."""
    dear: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Figures, by the method, whose runs take so long that a sparing scale has one seed of them."""
    limited: Mapping[str, frozenset[Lesson]] = field(default_factory=dict)
    """Methods that a sparing scale asks these lessons alone (as on the first split)."""

    def named(self, names: Sequence[str] | None) -> tuple[Protocol, ...]:
        """The protocols of these names; None: all."""
        known = [protocol.name for protocol in self.protocols]
        strange = sorted(set(names or ()) - set(known))
        if strange:
            raise ValueError(f"no figure {', '.join(strange)}: there are {', '.join(known)}")
        return tuple(p for p in self.protocols if names is None or p.name in names)

    def seeds(self, method: str, protocol: Protocol, lesson: Lesson, scale: Scale) -> Sequence[int]:
        """Of a method's answers to a lesson of a figure; none where it is not asked."""
        if not protocol.compares(method):
            return ()
        if not scale.sparing:
            return scale.seeds
        lessons = self.limited.get(method)
        if lessons is not None and replace(lesson, split=REGION) not in lessons:
            return ()
        once = protocol.once or lesson.split in protocol.once_on
        once |= method in self.beside or protocol.name in self.dear.get(method, ())
        return scale.seeds[:1] if once else scale.seeds

    def admitting(self, names: Sequence[str]) -> Agenda:
        """The same with these methods in every protocol."""
        protocols = tuple(
            p if p.methods is None else replace(p, methods=(*p.methods, *names))
            for p in self.protocols
        )
        return replace(self, protocols=protocols)

    def trials_of(self, lesson: Lesson) -> tuple[Trial, ...]:
        """All that any figure asks a method after a lesson; labels do not change it."""
        return tuple(self._trials.get(replace(lesson, labels=0), ()))

    @cached_property
    def partial(self) -> bool:
        """Whether any figure asks users by some of the stations that were taught together."""
        return any(
            point.lesson.question.together and set(point.test.stations) < set(point.lesson.stations)
            for protocol in self.protocols
            for point in protocol.points
        )

    @cached_property
    def _trials(self) -> dict[Lesson, dict[Trial, None]]:
        """The tests of all figures, by the lesson without its labels."""
        found: dict[Lesson, dict[Trial, None]] = {}
        for protocol in self.protocols:
            for point in protocol.every:
                found.setdefault(replace(point.lesson, labels=0), {})[point.test] = None
        return found
