"""Every figure of section VI of the LWLM paper, and what we add, written down once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from radiofix.benchmark.lwlm.paper import BASE, CNN, LWLM, SINGLE, SWIT, printed
from radiofix.benchmark.runs.lessons import (
    ALL_LABELS,
    EVERYBODY,
    FAR_WALLS,
    HIDDEN,
    NEAR_WALLS,
    TWELVE,
    Lesson,
    Trial,
)
from radiofix.benchmark.runs.protocols import REGION, Agenda, Point, Protocol
from radiofix.benchmark.runs.questions import AOA, FUSION, POSITION, TOA, Question
from radiofix.benchmark.runs.scales import RATE_LABELS

NANO = "radiofix-nano"
"""The localizer that comes with the package."""
STATIONS = ("3", "4", "9", "10")
MAIN_STREET = (*STATIONS, "1", "2", "5", "6", "7", "8", "11", "12")
PILOTS = (1, 2, 3, 4, 5)


def _curve(
    xs: Iterable[float], lessons: Sequence[Lesson], tests: Sequence[Trial] | None = None
) -> tuple[Point, ...]:
    """Each lesson with its test: by default at the stations and pilots that it was learnt from."""
    told = [Trial(one.stations) for one in lessons] if tests is None else tests
    return tuple(Point(*point) for point in zip(xs, lessons, told, strict=True))


def _single(lesson: Lesson) -> tuple[Point, ...]:
    return (Point(ALL_LABELS, lesson, Trial(lesson.stations)),)


def _first(stations: Sequence[str], counts: Sequence[int]) -> list[Trial]:
    return [Trial(tuple(stations[:count])) for count in counts]


def _asked(question: Question) -> Lesson:
    return Lesson(question, REGION)


_ONE = _asked(POSITION)
_FOUR = Lesson(FUSION, REGION, stations=STATIONS)
_ALL = Lesson(FUSION, REGION, stations=MAIN_STREET, users=TWELVE)
_OTHERS = Lesson(POSITION, REGION, stations=STATIONS[1:])
_LABELS = (250, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000)
_BANDS = (10, 20, 30, 40, 50)
_NOISE = (0.0, 10.0, 20.0, 30.0)
_POWERS = (3.0, 13.0, 23.0)
_CLOCKS = (0, 10, 30, 100)
"""[ns]."""
_COUNTS = (1, 2, 4, 8, 12)
_COMBS = [Trial(pilots=n) for n in PILOTS]
_LABELLED = "labelled users"
_EVERY_NTH = "pilots on every n-th antenna and subcarrier"

HEADLINE = (
    Protocol("fig10a", "Position from one station", _LABELLED, _single(_ONE)),
    Protocol(
        "fig10b",
        "Position from one station by the number of labels",
        _LABELLED,
        _curve(_LABELS, [replace(_ONE, labels=n) for n in _LABELS]),
        once=True,
    ),
    Protocol("fig8", "Time of arrival", _LABELLED, _single(_asked(TOA)), "p50", once=True),
    Protocol("fig9", "Angle of arrival", _LABELLED, _single(_asked(AOA)), "p50", once=True),
)
"""What is run first."""
PROTOCOLS = (
    *HEADLINE,
    Protocol("fig11a", "Position from four stations", _LABELLED, _single(_FOUR), "p50", once=True),
    Protocol(
        "fig10c",
        "Position from one station by bandwidth; 30 and 40 MHz were never seen in pretraining",
        "bandwidth [MHz]",
        _curve(_BANDS, [replace(_ONE, bandwidth=b * 1e6) for b in _BANDS]),
        once=True,
    ),
    Protocol(
        "fig10d",
        "Position from one station by the distance of pilots, fine-tuned for each",
        _EVERY_NTH,
        _curve(PILOTS, [replace(_ONE, pilots=(n,)) for n in PILOTS], _COMBS),
        once=True,
    ),
    Protocol(
        "fig10d-once",
        "Position from one station by the distance of pilots, fine-tuned once for all",
        _EVERY_NTH,
        _curve(PILOTS, [replace(_ONE, pilots=PILOTS)] * len(PILOTS), _COMBS),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "fig11b",
        "Position by the number of stations, trained once",
        "stations",
        _curve(range(1, 5), [_FOUR] * 4, _first(STATIONS, range(1, 5))),
        once=True,
    ),
    Protocol(
        "fig11c",
        "Position from four stations by the number of labels",
        _LABELLED,
        _curve(_LABELS[3:], [replace(_FOUR, labels=n) for n in _LABELS[3:]]),
        once=True,
    ),
    Protocol(
        "snr",
        "Position from one station by the signal-to-noise ratio",
        "SNR [dB]",
        _curve(_NOISE, [replace(_ONE, snr_db=n) for n in _NOISE]),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "budget",
        "Position from one station by a link budget: noise figure 5 dB, far users are noisier",
        "power of users [dBm]",
        _curve(_POWERS, [replace(_ONE, power_dbm=p) for p in _POWERS]),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "unseen",
        "Position from a single station, trained on stations 4, 9 and 10: of 3 no label was heard",
        "station asked of",
        _curve(
            [float(name) for name in STATIONS],
            [_OTHERS] * len(STATIONS),
            [Trial((name,)) for name in STATIONS],
        ),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "fig10-clock",
        "Position from one station by the deviation of users' clocks",
        "deviation of the clock [ns]",
        _curve(_CLOCKS, [replace(_ONE, clock=ns * 1e-9) for ns in _CLOCKS]),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "fig11-clock",
        "Position from four stations by the deviation of users' clocks, which all stations share",
        "deviation of the clock [ns]",
        _curve(_CLOCKS, [replace(_FOUR, clock=ns * 1e-9) for ns in _CLOCKS]),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "hidden",
        "Position of users without line of sight from one station",
        _LABELLED,
        _curve((1_000, 10_000), [replace(_ONE, labels=n, users=HIDDEN) for n in (1_000, 10_000)]),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "fig11b-twelve",
        "Position by the number of stations, trained once on twelve",
        "stations",
        _curve(_COUNTS, [_ALL] * len(_COUNTS), _first(MAIN_STREET, _COUNTS)),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "walls",
        "Position from one station by where the frontages stand",
        "from the stations to the wall behind them [m]",
        _curve(
            (0.5, 2.5, 4.5),
            [replace(_ONE, users=users) for users in (NEAR_WALLS, EVERYBODY, FAR_WALLS)],
        ),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
    Protocol(
        "sector",
        "Position from one station with the sector elements of 3GPP TR 38.901",
        _LABELLED,
        _single(replace(_ONE, pattern="sector")),
        splits=(REGION,),
        ours=True,
        once=True,
    ),
)
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
STORES = {
    "o1": "O1's main street, stations 3, 4, 9 and 10",
    "cross": "users of the cross street, the same stations, with diffraction",
    "twelve": "the main street, stations 1 to 12",
    "near-walls": "as o1, with wall_distance=0.504",
    "far-walls": "as o1, with wall_distance=4.504",
}
_ALONE = ("fig10a", "fig8", "fig9")
"""What every method answers."""
_PAPERS = tuple(protocol.name for protocol in PROTOCOLS if not protocol.ours)


def _lessons(figures: Sequence[str]) -> frozenset[Lesson]:
    return frozenset(p.lesson for p in _points(lambda protocol, _: protocol.name in figures))


def _printed(method: str) -> frozenset[Lesson]:
    """At whose points, of one station, the paper prints a number of the method."""
    every = _points(lambda f, x: printed(f.name, x, method) is not None)
    return frozenset(p.lesson for p in every if not p.lesson.question.together)


def _points(wanted: Callable[[Protocol, float], bool]) -> Iterator[Point]:
    return (p for protocol in PROTOCOLS for p in protocol.points if wanted(protocol, p.x))


_KRIGED = tuple(f"{NANO}-{how}" for how in ("kriged", "at-once", "scratch-kriged"))
_ABLATIONS = (BASE, *SINGLE, CNN, SWIT)
AGENDA = Agenda(
    "lwlm",
    PROTOCOLS,
    STORES,
    tuned=replace(_ONE, labels=RATE_LABELS),
    beside=frozenset((*_KRIGED, *_ABLATIONS)),
    limited={
        LWLM: _lessons((*_PAPERS, "snr")),
        f"{NANO}-scratch": _lessons((*_PAPERS, "snr", "unseen", "hidden")),
        # Four stations take four times as long: of single objectives one station tells enough.
        **{name: _lessons((*_ALONE, "fig11a")) | _printed(name) for name in (BASE, CNN, SWIT)},
        **{name: _lessons(_ALONE) | _printed(name) for name in SINGLE},
        f"{NANO}-kriged": _lessons(("fig10a", "fig10b")) | {replace(_ONE, pilots=(PILOTS[-1],))},
        f"{NANO}-at-once": _lessons(("fig10a", "fig10b", "hidden")),
        f"{NANO}-scratch-kriged": _lessons(("fig10a",)),
    },
)
named, trials_of = AGENDA.named, AGENDA.trials_of
