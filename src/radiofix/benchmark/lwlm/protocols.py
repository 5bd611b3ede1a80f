"""Every figure of section VI of the LWLM paper, and what we add, written down once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from radiofix.benchmark.lwlm.questions import AOA, FUSION, POSITION, QUESTIONS, TOA, Question

REGION, RANDOM = "region", "random"
SPLITS = (REGION, RANDOM)
"""The headline: test users far from labelled ones; and the paper's: among them."""
PATHS = 5
"""Strongest paths of a link, as in the paper."""
ANTENNAS, SUBCARRIERS = 32, 128
ALL_LABELS = 10_000
"""Fine-tuning samples unless something else is said."""
STATION = ("3",)
"""The paper's representative for one station."""
STATIONS = ("3", "4", "9", "10")
PILOTS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Users:
    """Whose links are asked about."""

    name: str
    store: str
    """Which of the given stores."""
    among: str
    """Class that picks them."""


EVERYBODY = Users("all", "o1", "radiofix.training.users.Everybody")
HIDDEN = Users("hidden", "cross", "radiofix.training.users.WithoutSight")
USERS = {users.name: users for users in (EVERYBODY, HIDDEN)}


@dataclass(frozen=True)
class Lesson:
    """What a method may learn from: one run teaches it once."""

    question: Question
    split: str
    labels: int = ALL_LABELS
    """As the paper counts them; a scale may take fewer. 0: none are used."""
    stations: tuple[str, ...] = STATION
    bandwidth: float = 10e6
    """[Hz]."""
    pilots: tuple[int, ...] = (1,)
    """On every n-th antenna and subcarrier; of several, each link draws one."""
    snr_db: float | None = None
    users: Users = EVERYBODY

    @property
    def name(self) -> str:
        """For people and for files."""
        noise = "clean" if self.snr_db is None else f"{self.snr_db:g}dB"
        pilots = "pilots" + "".join(str(n) for n in self.pilots)
        stations = "st" + "+".join(self.stations)
        labels = f"{self.labels}labels"
        band = f"{self.bandwidth / 1e6:g}MHz"
        parts = (self.question.name, self.split, labels, stations, band, pilots, noise)
        return "-".join((*parts, self.users.name))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        own = {**self.__dict__, "question": self.question.name, "users": self.users.name}
        return {**own, "stations": list(self.stations), "pilots": list(self.pilots)}

    @staticmethod
    def parse(content: dict[str, Any]) -> Lesson:
        """From JSON."""
        return Lesson(
            **{
                **content,
                "question": QUESTIONS[content["question"]],
                "users": USERS[content["users"]],
                "stations": tuple(content["stations"]),
                "pilots": tuple(content["pilots"]),
            }
        )


@dataclass(frozen=True)
class Trial:
    """What it is then asked about, all else as in the lesson."""

    stations: tuple[str, ...] = STATION
    pilots: int = 1

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "stations": list(self.stations)}

    @staticmethod
    def parse(content: dict[str, Any]) -> Trial:
        """From JSON."""
        return Trial(tuple(content["stations"]), content["pilots"])


@dataclass(frozen=True)
class Point:
    """One place on a figure's axis."""

    x: float
    lesson: Lesson
    test: Trial


@dataclass(frozen=True)
class Protocol:
    """One figure. With a single point it is a distribution of errors, else a curve."""

    name: str
    title: str
    axis: str
    """What its points differ in."""
    points: tuple[Point, ...]
    """With the lessons of the first split."""
    statistic: str = "mean"
    """Which number of `metrics.Summary` the paper prints."""
    ours: bool = False
    """Whether the paper has no such figure."""
    splits: tuple[str, ...] = field(default=SPLITS)

    def at(self, split: str) -> tuple[Point, ...]:
        """The points on a split."""
        return tuple(replace(p, lesson=replace(p.lesson, split=split)) for p in self.points)

    @property
    def every(self) -> tuple[Point, ...]:
        """The points on all splits, the headline first."""
        return tuple(point for split in self.splits for point in self.at(split))

    @property
    def unit(self) -> str:
        """Of its errors."""
        return self.points[0].lesson.question.unit


def _curve(
    xs: Iterable[float], lessons: Sequence[Lesson], tests: Sequence[Trial]
) -> tuple[Point, ...]:
    return tuple(Point(*point) for point in zip(xs, lessons, tests, strict=True))


def _single(question: Question) -> tuple[Point, ...]:
    return (Point(ALL_LABELS, Lesson(question, REGION), Trial()),)


_ONE = Lesson(POSITION, REGION)
_FOUR = Lesson(FUSION, REGION, stations=STATIONS)
_LABELS = (250, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000)
_BANDS = (10, 20, 30, 40, 50)
_NOISE = (0.0, 10.0, 20.0, 30.0)
_SUBSETS = tuple(STATIONS[:count] for count in range(1, len(STATIONS) + 1))

PROTOCOLS = (
    Protocol("fig10a", "Position from one station", "labelled users", _single(POSITION)),
    Protocol("fig8", "Time of arrival", "labelled users", _single(TOA), "p50"),
    Protocol("fig9", "Angle of arrival", "labelled users", _single(AOA), "p50"),
    Protocol(
        "fig11a",
        "Position from four stations",
        "labelled users",
        (Point(ALL_LABELS, _FOUR, Trial(STATIONS)),),
        "p50",
    ),
    Protocol(
        "fig10b",
        "Position from one station by the number of labels",
        "labelled users",
        _curve(_LABELS, [replace(_ONE, labels=n) for n in _LABELS], [Trial()] * len(_LABELS)),
    ),
    Protocol(
        "fig10c",
        "Position from one station by bandwidth; 30 and 40 MHz were never seen in pretraining",
        "bandwidth [MHz]",
        _curve(_BANDS, [replace(_ONE, bandwidth=b * 1e6) for b in _BANDS], [Trial()] * len(_BANDS)),
    ),
    Protocol(
        "fig10d",
        "Position from one station by the distance of pilots, fine-tuned for each",
        "pilots on every n-th antenna and subcarrier",
        _curve(
            PILOTS, [replace(_ONE, pilots=(n,)) for n in PILOTS], [Trial(pilots=n) for n in PILOTS]
        ),
    ),
    Protocol(
        "fig10d-once",
        "Position from one station by the distance of pilots, fine-tuned once for all",
        "pilots on every n-th antenna and subcarrier",
        _curve(PILOTS, [replace(_ONE, pilots=PILOTS)] * 5, [Trial(pilots=n) for n in PILOTS]),
        ours=True,
    ),
    Protocol(
        "fig11b",
        "Position by the number of stations, trained once",
        "stations",
        _curve(range(1, 5), [_FOUR] * 4, [Trial(stations) for stations in _SUBSETS]),
    ),
    Protocol(
        "fig11c",
        "Position from four stations by the number of labels",
        "labelled users",
        _curve(
            _LABELS[3:],
            [replace(_FOUR, labels=n) for n in _LABELS[3:]],
            [Trial(STATIONS)] * len(_LABELS[3:]),
        ),
    ),
    Protocol(
        "snr",
        "Position from one station by the signal-to-noise ratio",
        "SNR [dB]",
        _curve(_NOISE, [replace(_ONE, snr_db=n) for n in _NOISE], [Trial()] * len(_NOISE)),
        ours=True,
    ),
    Protocol(
        "hidden",
        "Position of users without line of sight from one station",
        "labelled users",
        _curve(
            (1_000, 10_000),
            [replace(_ONE, labels=n, users=HIDDEN) for n in (1_000, 10_000)],
            [Trial()] * 2,
        ),
        ours=True,
    ),
)
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}


def named(names: Sequence[str] | None) -> tuple[Protocol, ...]:
    """The protocols of these names; None: all."""
    strange = sorted(set(names or ()) - set(BY_NAME))
    if strange:
        raise ValueError(f"no figure {', '.join(strange)}: there are {', '.join(BY_NAME)}")
    return tuple(p for p in PROTOCOLS if names is None or p.name in names)


def trials_of(lesson: Lesson) -> tuple[Trial, ...]:
    """All that any figure asks a method after a lesson; labels do not change it."""
    wanted = {
        point.test: None
        for protocol in PROTOCOLS
        for point in protocol.every
        if replace(point.lesson, labels=lesson.labels) == lesson
    }
    return tuple(wanted)
