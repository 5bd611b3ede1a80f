"""The SigMap paper's bench in words."""

from __future__ import annotations

from radiofix.benchmark.runs.lessons import UNSEEN
from radiofix.benchmark.runs.protocols import Protocol
from radiofix.benchmark.runs.subject import SMALL, Subject
from radiofix.benchmark.sigmap.methods import POOLED_TAUGHT, RIGHT, methods
from radiofix.benchmark.sigmap.paper import FAVOURABLE, SIGMAP, UNTOLD, printed
from radiofix.benchmark.sigmap.protocols import AGENDA
from radiofix.benchmark.sigmap.scales import LAPTOP, SCALES

CONSTANT = (
    "In one city a map is a constant: what SigMap-constant, or a wrong map, gives as well is no "
    "gain by the map."
)
ABSOLUTE = (
    "What the paper calls mean absolute error (MAE) is the mean Euclidean distance, here in the "
    "plane."
)
_MAPS = (
    "All were taught in the same cities, by the same steps from the same weights. asked-other "
    "learnt with the right maps and is asked with another city's. Users of all new cities count "
    "together."
)

_JOINED = (
    "The same networks, each link placed by itself and a user's stations joined as `radiofix "
    "locate` does it: where the places agree that a network weighs, or by the covariances that it "
    "states. NOMP's delays and directions are joined by robust multilateration, OMP's places by "
    "the plain mean."
)
_NONE = (
    "What is taught was taught in procedural cities with a map each, and has met no channel of O1; "
    "here it is told O1's map and no label."
)
_INEXACT = (
    "They learnt with exact maps. Each building of the map that they are told is off by itself; "
    "the channels are those of the city as it stands. One drawing of where they are to, scaled: "
    "intervals leave out what another would make of it. One that is told no map stays where it was."
)


def _heading(protocol: Protocol) -> str:
    if protocol.ours:
        return "Beyond the paper"
    return f"Table {protocol.name.removeprefix('table')[0]}"


SUBJECT = Subject(
    agenda=AGENDA,
    scales=SCALES,
    methods=methods,
    printed=printed,
    title="The tables of the SigMap paper, run again",
    at={
        "smoke": SMALL,
        "laptop": (
            "At this scale the paper's networks are about a twelfth as large as published and "
            f"pretrained for {LAPTOP.pretraining['steps']:,} steps, where the paper has 4.5 "
            "million; what is taught in cities begins with radiofix-nano, which 12,000 steps in "
            "random worlds made."
        ),
    },
    caution=(
        f"{ABSOLUTE} The scenes are our own, not the paper's ray tracing, so that its numbers "
        "stand beside ours for orientation; what carries a claim are rows of one table, which saw "
        "the same channels. The split region, where test users are far from labelled ones, is the "
        "headline; the paper does not say more of its split than that users were drawn at random."
    ),
    beside=(
        "Our scenes are not the paper's: its numbers are for orientation, and rows of one table "
        f"carry a claim. {ABSOLUTE}"
    ),
    heading=_heading,
    words={"mean": "MAE", "p50": "50 %"},
    remarks={
        "table1": f"{UNTOLD} {CONSTANT}",
        "table2": CONSTANT,
        "table4": FAVOURABLE,
        "table1-none": _NONE,
        "table2-none": f"{_NONE} {_JOINED}",
        "table1-none-snr": _NONE,
        "table1-none-map": _INEXACT,
        "maps-off": _INEXACT,
        "maps": _MAPS,
        "together": f"{_JOINED} All users of all new cities count.",
        **{f"table4-{users.name}": FAVOURABLE for users in UNSEEN},
    },
    held_against={
        "maps": (RIGHT, POOLED_TAUGHT),
        "labels": (RIGHT,),
        "together": (RIGHT,),
        "table1": (RIGHT, SIGMAP),
        "table2": (RIGHT, SIGMAP),
        "table1-none": (RIGHT,),
        "table2-none": (RIGHT,),
        "table3": (SIGMAP,),
        "table4": (RIGHT, SIGMAP),
        **{f"maps-{users.name}": (RIGHT,) for users in UNSEEN},
    },
)
