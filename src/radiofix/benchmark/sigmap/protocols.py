"""Tables 1 to 4 and Fig. 6 and 7 of the SigMap paper, and the question whether a map helps."""

from __future__ import annotations

from dataclasses import replace

from radiofix.benchmark.lwlm.paper import CNN, LWLM, OMP
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
from radiofix.benchmark.sigmap.methods import JOINED, RIGHT, SCRATCH, SFMCM, TOLD_OTHER
from radiofix.benchmark.sigmap.paper import ALL, FEW, GRID, NO_MAP, SIGMAP, STRIP, SWIT

STATIONS = ("3", "4", "9", "10")
LABELS = (0, 10, 30, 100, 300, 1_000)
_LABELLED = "labelled users"
_BASELINES = (LWLM, SWIT, CNN, "kNN", OMP, "NOMP")
_TOLD = (
    SIGMAP,
    "SigMap-normalised",
    NO_MAP,
    "SigMap-constant",
    "SigMap-other-map",
    "SigMap-shuffled-map",
    "SigMap-walls",
    "SigMap-walls-constant",
    "SigMap-walls-other-map",
    "SigMap-walls-shuffled-map",
)
_TUNED = ("SigMap-full", "SigMap-walls-full", "SigMap-scratch")
_LOW_RANK = ("SigMap-low-rank", "SigMap-walls-low-rank")
_ONE_CITY = (*_TOLD, *_TUNED, RIGHT, SCRATCH, TOLD_OTHER, "radiofix-nano", *_BASELINES)
_HIDDEN = (
    SIGMAP,
    NO_MAP,
    "SigMap-constant",
    "SigMap-other-map",
    RIGHT,
    SCRATCH,
    TOLD_OTHER,
    JOINED,
    LWLM,
    "kNN",
    "NOMP",
)
_ASKED = (
    "cities-echoes-asked-other",
    "cities-echoes-asked-shuffled",
    "cities-walls-asked-other",
    "cities-walls-asked-shuffled",
    "cities-reader-asked-other",
    "cities-reader-asked-shuffled",
    "cities-pooled-asked-other",
)
_SCHOOLED = (
    RIGHT,
    "cities-waves",
    "cities-waves-constant",
    "cities-echoes-other-map",
    "cities-walls",
    "cities-reader",
    "cities-no-map",
    "cities-constant",
    "cities-walls-other-map",
    "cities-walls-shuffled-map",
    "cities-pooled",
    "cities-pooled-normalised",
    "cities-SigMap",
    "cities-SigMap-no-map",
    "cities-SigMap-constant",
)
_ON_THE_MAP = ("NOMP-map", "NOMP-other-map")
_MAPS = (*_SCHOOLED, *_ASKED, "radiofix-nano", OMP, "NOMP", *_ON_THE_MAP)
_TOGETHER_UNSEEN = (
    RIGHT,
    "cities-waves",
    "cities-waves-constant",
    "cities-echoes-other-map",
    "cities-echoes-asked-other",
    "cities-echoes-asked-shuffled",
    JOINED,
    OMP,
    "NOMP",
)
_NEW_CITY = (
    SIGMAP,
    NO_MAP,
    "SigMap-constant",
    "SigMap-other-map",
    "SigMap-walls",
    "SigMap-walls-constant",
    "SigMap-walls-other-map",
    *_LOW_RANK,
    *_TUNED,
    RIGHT,
    SCRATCH,
    TOLD_OTHER,
    "cities-waves",
    "cities-waves-constant",
    "cities-echoes-other-map",
    "cities-walls",
    "cities-walls-scratch",
    "cities-reader",
    "cities-no-map",
    "cities-constant",
    "cities-walls-other-map",
    "cities-pooled",
    "cities-SigMap",
    "cities-SigMap-no-map",
    "radiofix-nano",
    *_BASELINES,
    "NOMP-map",
)
_CURVES = (
    SIGMAP,
    NO_MAP,
    "SigMap-scratch",
    RIGHT,
    SCRATCH,
    TOLD_OTHER,
    "cities-waves",
    "cities-waves-constant",
    "cities-walls",
    "cities-reader",
    "cities-no-map",
    "cities-constant",
    "cities-walls-other-map",
    "cities-pooled",
    "radiofix-nano",
    *_BASELINES,
    "NOMP-map",
)


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
        methods=_NEW_CITY,
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
        methods=(*_ONE_CITY, "SigMap-eq11", "NOMP-map"),
    ),
    Protocol(
        "table4",
        f"New cities, about {FEW} labels: head, prompts and head, low-rank updates, everything",
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
    ),
    Protocol(
        "table3",
        "Position from four stations by the mask of pretraining, each hiding the same share",
        _LABELLED,
        (_asked(_TOGETHER, ALL),),
        methods=(SIGMAP, GRID, STRIP, SFMCM),
    ),
    Protocol(
        "labels",
        "New cities by the number of labels",
        _LABELLED,
        tuple(point for count in LABELS for point in _each(count)),
        ours=True,
        splits=_IN_REGIONS,
        methods=_CURVES,
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
    Protocol(
        "table2-nlos",
        "Position from four stations of users who see none of them",
        _LABELLED,
        (_asked(replace(_TOGETHER, users=NLOS), ALL),),
        ours=True,
        methods=_HIDDEN,
    ),
    *(protocol for place in UNSEEN for protocol in _one_city(place)),
    Protocol(
        "table4-deepmimo",
        f"A DeepMIMO scenario, about {FEW} labels; its buildings are not known",
        _LABELLED,
        (_asked(_in(DEEPMIMO, FEW), FEW),),
        ours=True,
        splits=(REGION, RANDOM),
        methods=_NEW_CITY,
    ),
)
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
STORES = {
    WHOLE.store: "O1, users of both streets, stations 3, 4, 9 and 10, with diffraction",
    CITIES.store: "procedural cities to learn in, joined",
    **{users.store: "a city to be asked in" for users in UNSEEN},
    DEEPMIMO.store: "an imported DeepMIMO scenario",
}
AGENDA = Agenda("sigmap", PROTOCOLS, STORES, tuned=replace(_ALONE, labels=RATE_LABELS))
