"""What is compared: SigMap as published, with and without maps, our own, and baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from radiofix.benchmark.lwlm.methods import methods as lwlm_methods
from radiofix.benchmark.lwlm.paper import CNN, LWLM, OMP, SWIT
from radiofix.benchmark.lwlm.protocols import NANO
from radiofix.benchmark.runs.learned import Method
from radiofix.benchmark.runs.lessons import WHOLE
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.preparing import Beginning, Start
from radiofix.benchmark.sigmap.arms import (
    COARSE,
    CONSTANT,
    CONSTANT_EIGHT,
    FROZEN,
    FULL,
    LOW_RANK,
    POOLED,
    WALLS,
    Arm,
    Headed,
    InFrame,
    Published,
    echoes,
    misled_echoes,
    waves,
)
from radiofix.benchmark.sigmap.followed import Followed
from radiofix.benchmark.sigmap.paper import GRID, NO_MAP, SIGMAP, STRIP
from radiofix.benchmark.sigmap.schooling import School
from radiofix.benchmark.sigmap.wrong import asked_elsewhere, no_elsewhere
from radiofix.classic.nomp import Nomp
from radiofix.models.parts import Part

SFMCM = "SigMap-SF-MCM"
_MASKS, _CYCLES = "radiofix.objectives.masking", "radiofix.objectives.cycles"
SHARE = 0.4375
"""Of a channel's entries that every mask hides: 8 of 32 antennas and 32 of 128 subcarriers."""
MASKS: Mapping[str, Mapping[str, Any]] = {
    SIGMAP: {"class_path": f"{_CYCLES}.CycleMask", "init_args": {"share": SHARE}},
    GRID: {
        "class_path": f"{_MASKS}.GridMask",
        # Cells no smaller than any token, so that some tokens are hidden as a whole.
        "init_args": {"masked_patches": 28, "patch": [8, 8]},
    },
    STRIP: {
        "class_path": f"{_MASKS}.StripMask",
        "init_args": {"masked_antennas": 8, "masked_subcarriers": 32},
    },
    SFMCM: {
        "class_path": f"{_MASKS}.AntennaSubcarrierMask",
        "init_args": {"masked_antennas": 8, "masked_subcarriers": 32},
    },
}
"""By the method that is pretrained with it; all hide the same share."""
_RECIPES = {"position": "sigmap/position.yaml", "fusion": "sigmap/fusion.yaml"}
_OURS = {"position": "radiofix/position.yaml"}
RIGHT = "cities-echoes"
"""Taught in many cities with the right maps, and told the right one."""
SCRATCH = f"{RIGHT}-scratch"
KRIGED = f"{RIGHT}-kriged"
"""Fine-tuned, and then moved by the errors at labelled users."""
TOLD_OTHER = f"{RIGHT}-told-other"
"""Taught with the right maps, and then fine-tuned and asked with another city's."""
POOLED_TAUGHT = "cities-pooled"
"""The published prompt where maps differ: on our network, taught in many cities."""
JOINED = "radiofix-nano-joined"
"""Stations joined by what it states of each, where `radiofix-nano` learns to weigh them."""
READER = Part("radiofix.models.wall_prompt.WallReader")


def _masked(name: str) -> Start:
    """A pretraining run with a mask; all arms with the same mask share it, and its weights."""
    mask = {"objectives.masked.init_args.mask": MASKS[name]}
    folder = f"backbone-{name}"
    return Start("sigmap/base.yaml", shared=folder, store=WHOLE.store, changes=mask, seeded=True)


RATED = {FROZEN: SIGMAP, LOW_RANK: "SigMap-low-rank", FULL: "SigMap-full"}
"""Whose rate of learning an arm takes, so that arms differ in nothing but what they are told."""
AHEAD = 5.0
"""How many times faster than an encoder that knows waves a head learns which follows them."""


def _published(name: str, arm: Arm, start: Beginning | None = None) -> Network:
    return Network(
        name,
        "sigmap",
        _RECIPES,
        start=_masked(SIGMAP) if start is None else start,
        changes=Published(arm),
        frozen=arm.adaptation == FROZEN,
        rate_of=None if start == Start() else RATED.get(arm.adaptation),
        mapped=_is_told(arm.prompter),
        missing=no_elsewhere if arm.misled else Network.missing,
    )


def _is_told(prompter: Part | None) -> bool:
    return prompter not in (None, CONSTANT, CONSTANT_EIGHT)


_ONE_CITY = (
    _published(SIGMAP, Arm(POOLED)),
    _published(NO_MAP, Arm()),
    _published("SigMap-constant", Arm(CONSTANT)),
    _published("SigMap-other-map", Arm(POOLED, misled=True)),
    replace(
        _published("SigMap-eq11", Arm(POOLED)),
        changes=Published(Arm(POOLED), "radiofix.models.sigmap_heads.NlosAwareHead"),
    ),
    _published("SigMap-walls", Arm(WALLS)),
    _published("SigMap-low-rank", Arm(adaptation=LOW_RANK)),
    _published("SigMap-full", Arm(adaptation=FULL)),
    _published("SigMap-scratch", Arm(adaptation=FULL), Start()),
    *(_published(name, Arm(POOLED), _masked(name)) for name in (GRID, STRIP, SFMCM)),
)
"""Backbones that were pretrained on O1, and fine-tuned where they are asked."""


def _many_cities(pretrained: str) -> tuple[Network, ...]:
    """Networks that were taught in many cities, and then come to a new one."""

    def schooled(name: str, arm: Arm, reader: Part | None = None) -> Network:
        told = arm.prompter is not None or reader is not None
        before = Arm(arm.prompter, FULL, begun=reader is not None)
        school = School(name, _OURS["position"], pretrained, InFrame(before), reader)
        after = InFrame(Arm(adaptation=FULL, begun=told))
        return Network(
            name,
            "radiofix",
            _OURS,
            start=school,
            changes=after,
            placing=True,
            mapped=_is_told(arm.prompter) or reader is not None,
        )

    def following(name: str, head: Headed, prompter: Part | None = None) -> Network:
        taught = InFrame(Arm(prompter, FULL), head)
        after = InFrame(Arm(adaptation=FULL, begun=prompter is not None), head)
        return Network(
            name,
            "radiofix",
            _OURS,
            start=School(name, _OURS["position"], pretrained, taught, ahead=AHEAD),
            changes=after,
            joined=True,
            placing=True,
            rate_of=RIGHT,
            mapped=head is not waves,
        )

    right, pooled = following(RIGHT, echoes), schooled(POOLED_TAUGHT, Arm(COARSE))
    # The same network, told the same, from nothing.
    alone = InFrame(Arm(adaptation=FULL), echoes)
    misled = InFrame(Arm(adaptation=FULL), misled_echoes)
    kriged = InFrame(Arm(adaptation=FULL), echoes, krige=True)
    return (
        right,
        Network(SCRATCH, "radiofix", _OURS, changes=alone, joined=True, mapped=True),
        replace(right, name=TOLD_OTHER, changes=misled, missing=no_elsewhere),
        replace(right, name=KRIGED, changes=kriged, joined=False),
        _asked(right),
        following("cities-waves", waves),
        following("cities-waves-constant", waves, CONSTANT_EIGHT),
        schooled("cities-walls", Arm(WALLS)),
        schooled("cities-reader", Arm(), READER),
        schooled("cities-no-map", Arm()),
        schooled("cities-constant", Arm(CONSTANT_EIGHT)),
        pooled,
        _asked(pooled),
    )


def _asked(right: Network) -> Network:
    """The very network that was taught with right maps, told another city's when it is asked."""
    name = f"{right.name}-asked-other"
    return replace(right, name=name, readied=asked_elsewhere, missing=no_elsewhere)


def methods(pretrained: str = NANO) -> tuple[Method, ...]:
    """All rows of the tables.

    Args:
        pretrained: what radiofix-nano begins with, and what is taught in many cities.
    """
    known = {method.name: method for method in lwlm_methods(pretrained)}
    nano, lwlm, swit, cnn = (known[name] for name in ("radiofix-nano", LWLM, SWIT, CNN))
    assert isinstance(nano, Network)
    return (
        *_many_cities(pretrained),
        *_ONE_CITY,
        replace(nano, placing=True),
        replace(nano, name=JOINED, joined=True, placing=True, rate_of=nano.name),
        *(_of_whole(method) for method in (lwlm, swit, cnn)),
        *(known[name] for name in ("kNN", OMP, "NOMP")),
        Followed("NOMP-map", Nomp()),
    )


def _of_whole(method: Method) -> Method:
    """The same method, pretrained on the whole of O1 if it is pretrained."""
    assert isinstance(method, Network)
    assert isinstance(method.start, Start)
    return replace(method, start=replace(method.start, store=WHOLE.store))
