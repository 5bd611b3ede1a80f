"""Tables 1 to 4 and Fig. 6 and 7 of the SigMap paper, and the question whether a map helps."""

from __future__ import annotations

from dataclasses import replace

from radiofix.benchmark.lwlm.paper import CNN, LWLM, OMP, SWIT
from radiofix.benchmark.runs.lessons import (
    CITIES,
    DEEPMIMO,
    NLOS,
    UNSEEN,
    WHOLE,
    Lesson,
    Trial,
    Users,
)
from radiofix.benchmark.runs.protocols import RANDOM, REGION, Agenda, Point, Protocol
from radiofix.benchmark.runs.questions import FUSION, POSITION, Question
from radiofix.benchmark.runs.scales import RATE_LABELS
from radiofix.benchmark.sigmap.methods import (
    JOINED,
    KRIGED,
    POOLED_TAUGHT,
    RIGHT,
    SCRATCH,
    SFMCM,
    TOLD_OTHER,
)
from radiofix.benchmark.sigmap.paper import ALL, FEW, GRID, NO_MAP, SIGMAP, STRIP

STATIONS = ("3", "4", "9", "10")
LABELS = (0, 10, 30, 100, 300, 1_000)
CURVED = tuple(users for users in UNSEEN if users.name in ("munich", "kept-1"))
"""New cities that are also asked with other numbers of labels."""
_LABELLED = "labelled users"
_BASELINES = (LWLM, SWIT, CNN, "kNN", OMP, "NOMP")
_ONE_CITY = (
    SIGMAP,
    NO_MAP,
    "SigMap-constant",
    "SigMap-other-map",
    "SigMap-walls",
    "SigMap-low-rank",
    "SigMap-full",
    "SigMap-scratch",
    RIGHT,
    SCRATCH,
    TOLD_OTHER,
    "radiofix-nano",
    *_BASELINES,
)
_WAVES = ("cities-waves", "cities-waves-constant")
_MAPS = (
    RIGHT,
    f"{RIGHT}-asked-other",
    *_WAVES,
    "cities-walls",
    "cities-reader",
    "cities-no-map",
    "cities-constant",
    POOLED_TAUGHT,
    f"{POOLED_TAUGHT}-asked-other",
    "radiofix-nano",
    OMP,
    "NOMP",
    "NOMP-map",
)
_NOISE = (0.0, 10.0, 20.0, 30.0)
_MAP_ERRORS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""[m]."""
_OFF = "deviation of each building along either axis [m]"
_FOLLOWING = (RIGHT, "cities-waves-constant", "NOMP-map")
_TAUGHT = (RIGHT, f"{RIGHT}-asked-other", *_WAVES, "radiofix-nano", OMP, "NOMP", "NOMP-map")
_TOGETHER_UNSEEN = (RIGHT, f"{RIGHT}-asked-other", *_WAVES, JOINED, OMP, "NOMP")
_NEW_CITY = (
    RIGHT,
    SCRATCH,
    "radiofix-nano",
    SIGMAP,
    NO_MAP,
    "SigMap-constant",
    LWLM,
    "kNN",
    "NOMP",
    "NOMP-map",
)
"""In each of seven cities; what else there is, in two of them."""
_UNMAPPED = ("radiofix-nano", NO_MAP, LWLM, "kNN", "NOMP")


def _asked(lesson: Lesson, x: float) -> Point:
    return Point(x, lesson, Trial(lesson.stations))


def _in(users: Users, labels: int, question: Question = POSITION) -> Lesson:
    """Every user of a new city: from each of its stations by itself, or from all together."""
    return Lesson(question, REGION, labels=labels, stations=(), users=users)


def _each(labels: int) -> tuple[Point, ...]:
    return tuple(_asked(_in(users, labels), labels) for users in UNSEEN)


_ALONE = Lesson(POSITION, REGION, labels=ALL, stations=STATIONS[:1], users=NLOS)
_TOGETHER = Lesson(FUSION, REGION, labels=ALL, stations=STATIONS, users=WHOLE)
_IN_REGIONS = (REGION,)


def _one_city(place: Users) -> tuple[Protocol, ...]:
    """What is also told of each new city by itself."""
    few = Protocol(
        f"table4-{place.name}",
        f"{place.name}, about {FEW} labels",
        _LABELLED,
        (_asked(_in(place, FEW), FEW),),
        splits=_IN_REGIONS,
        methods=(*_ONE_CITY, "NOMP-map") if place in CURVED else _NEW_CITY,
    )
    none = Protocol(
        f"maps-{place.name}",
        f"{place.name}, no label: does a map help?",
        _LABELLED,
        (_asked(_in(place, 0), 0),),
        ours=True,
        splits=_IN_REGIONS,
        methods=_MAPS,
    )
    return few, none


PROTOCOLS = (
    Protocol(
        "maps",
        "Taught in many cities, asked in new ones without a label: does a map help?",
        _LABELLED,
        _each(0),
        ours=True,
        splits=_IN_REGIONS,
        methods=_MAPS,
    ),
    Protocol(
        "table1",
        "Position from station 3 of users without line of sight, and the distribution of Fig. 6",
        _LABELLED,
        (_asked(_ALONE, ALL),),
        methods=(*_ONE_CITY, "SigMap-eq11", KRIGED, "NOMP-map"),
    ),
    Protocol(
        "table4",
        f"New cities, about {FEW} labels",
        _LABELLED,
        _each(FEW),
        splits=_IN_REGIONS,
        methods=_NEW_CITY,
    ),
    Protocol(
        "table2",
        "Position from four stations, and the distribution of Fig. 7",
        _LABELLED,
        (_asked(_TOGETHER, ALL),),
        methods=(*_ONE_CITY, JOINED),
        once_on=(RANDOM,),
    ),
    Protocol(
        "table1-none",
        "Table 1's users without any label of their city: taught in others",
        _LABELLED,
        (_asked(replace(_ALONE, labels=0), 0),),
        ours=True,
        methods=_TAUGHT,
    ),
    Protocol(
        "table2-none",
        "Table 2's users without any label of their city: taught in others",
        _LABELLED,
        (_asked(replace(_TOGETHER, labels=0), 0),),
        ours=True,
        methods=_TOGETHER_UNSEEN,
    ),
    Protocol(
        "table1-none-snr",
        "Table 1's users without any label of their city, by the signal-to-noise ratio",
        "SNR [dB]",
        tuple(_asked(replace(_ALONE, labels=0, snr_db=n), n) for n in _NOISE),
        ours=True,
        methods=_FOLLOWING,
        once=True,
    ),
    Protocol(
        "table1-none-map",
        "Table 1's users without any label of their city, by how far off the map's buildings are",
        _OFF,
        tuple(_asked(replace(_ALONE, labels=0, map_error=off), off) for off in _MAP_ERRORS),
        ours=True,
        methods=_FOLLOWING,
        once=True,
    ),
    Protocol(
        "maps-off",
        "A real and a procedural new city without a label, by how far off the map's buildings are",
        _OFF,
        tuple(
            _asked(replace(_in(city, 0), map_error=off), off)
            for off in _MAP_ERRORS
            for city in CURVED
        ),
        ours=True,
        splits=_IN_REGIONS,
        methods=_FOLLOWING,
        once=True,
    ),
    Protocol(
        "table3",
        "Position from four stations by the mask of pretraining, each hiding the same share",
        _LABELLED,
        (_asked(_TOGETHER, ALL),),
        methods=(SIGMAP, GRID, STRIP, SFMCM),
        once_on=(RANDOM,),
    ),
    Protocol(
        "labels",
        "A real and a procedural new city by the number of labels",
        _LABELLED,
        tuple(_asked(_in(city, n), n) for n in LABELS for city in CURVED),
        ours=True,
        splits=_IN_REGIONS,
        methods=_NEW_CITY,
        once=True,
    ),
    Protocol(
        "together",
        "New cities without a label, each user by all stations that hear it",
        _LABELLED,
        tuple(_asked(_in(users, 0, FUSION), 0) for users in UNSEEN),
        ours=True,
        splits=_IN_REGIONS,
        methods=_TOGETHER_UNSEEN,
    ),
    *(protocol for place in UNSEEN for protocol in _one_city(place)),
    Protocol(
        "table4-deepmimo",
        f"A DeepMIMO scenario, about {FEW} labels; its buildings are not known",
        _LABELLED,
        (_asked(_in(DEEPMIMO, FEW), FEW),),
        ours=True,
        splits=(REGION, RANDOM),
        methods=_UNMAPPED,
        once=True,
    ),
)
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
STORES = {
    WHOLE.store: "O1, users of both streets, stations 3, 4, 9 and 10, with diffraction",
    CITIES.store: "procedural cities to learn in, joined",
    **{users.store: "a city to be asked in" for users in UNSEEN},
    DEEPMIMO.store: "an imported DeepMIMO scenario",
}
_BESIDE = (
    *(SCRATCH, TOLD_OTHER, KRIGED, POOLED_TAUGHT, f"{POOLED_TAUGHT}-asked-other"),
    *(f"cities-{arm}" for arm in ("walls", "reader", "no-map", "constant")),
    *(f"{SIGMAP}-{arm}" for arm in ("other-map", "walls", "eq11", "low-rank", "full", "scratch")),
    *(SWIT, CNN),
    # What learns nothing there has other test users by another seed, and no more.
    *(JOINED, OMP, "NOMP", "NOMP-map"),
)


def _lessons(*figures: str) -> frozenset[Lesson]:
    return frozenset(p.lesson for f in PROTOCOLS if f.name in figures for p in f.points)


_ADAPTATIONS = ("SigMap-walls", "SigMap-low-rank", "SigMap-full", "SigMap-scratch")
_ALONE_OR_NEW = _lessons("table1", "table4")
_TABLES = _lessons("table1", "table2", "table4", "table4-deepmimo")
AGENDA = Agenda(
    "sigmap",
    PROTOCOLS,
    STORES,
    tuned=replace(_ALONE, labels=RATE_LABELS),
    beside=frozenset(_BESIDE),
    dear={RIGHT: frozenset(["table2"])},
    limited={
        # Four stations take four times as long, and tell of the same question.
        **dict.fromkeys((*_ADAPTATIONS, TOLD_OTHER), _ALONE_OR_NEW),
        SCRATCH: _ALONE_OR_NEW | _lessons("labels"),
        # Whether a map helps is asked at the tables' number of labels.
        **dict.fromkeys((NO_MAP, "SigMap-constant"), _TABLES),
    },
)
