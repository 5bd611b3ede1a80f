"""What is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from radiofix.benchmark.lwlm.limit import SURVEY, Limit
from radiofix.benchmark.lwlm.paper import BASE, CNN, DTI, LWLM, OMP, PICL, SFMCM, SWIT
from radiofix.benchmark.lwlm.protocols import NANO
from radiofix.benchmark.runs.classical import Geometry, Lookup, averaged, weighed_by_distance
from radiofix.benchmark.runs.learned import Method
from radiofix.benchmark.runs.lessons import Lesson
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.preparing import Start
from radiofix.benchmark.runs.questions import POSITION, QUESTIONS
from radiofix.benchmark.runs.site import Site
from radiofix.classic.music import Music
from radiofix.classic.nomp import Nomp
from radiofix.classic.omp import Omp

_HEADS = "radiofix.models.heads"


def _sight_heads() -> dict[str, Any]:
    return {
        "toa": {"class_path": f"{_HEADS}.ToaHead"},
        "aoa": {"class_path": f"{_HEADS}.AoaHead"},
    }


def _fusion(estimator: Mapping[str, Any]) -> dict[str, Any]:
    return {"class_path": f"{_HEADS}.FusionHead", "init_args": {"estimator": estimator}}


def _recipe_each(way: str) -> Mapping[str, str]:
    return {name: way.format(name) for name in QUESTIONS}


_SWIT_HEADS = {
    **_sight_heads(),
    "fusion": _fusion({"class_path": f"{_HEADS}.PositionHead", "init_args": {"dim": 384}}),
}
_FRAME = {"class_path": "radiofix.models.frame.FrameHead", "init_args": {"dim": 128}}
_NANO_HEADS = {
    # What was learnt of positions serves times and angles too, with and without pretraining.
    "toa": {"class_path": f"{_HEADS}.ImpliedToaHead", "init_args": {"estimator": _FRAME}},
    "aoa": {"class_path": f"{_HEADS}.ImpliedAoaHead", "init_args": {"estimator": _FRAME}},
    "fusion": _fusion(_FRAME),
}


def _kriged(lesson: Lesson, site: Site) -> Mapping[str, Any]:
    return {"krige": True}


def _at_once(lesson: Lesson, site: Site) -> Mapping[str, Any]:
    return {"krige": True, "training": {**site.scale.finetuning, "steps": 0}}


_LWLM = Network(BASE, "lwlm", _recipe_each("lwlm/{}.yaml"))
_NANO = Network(f"{NANO}-scratch", "radiofix", {"position": "radiofix/position.yaml"}, _NANO_HEADS)


def methods(pretrained: str = NANO) -> tuple[Method, ...]:
    """All rows of the tables, ours first.

    Args:
        pretrained: what radiofix-nano begins with: a run's folder or a localizer's name.
    """
    nano = replace(_NANO, name=NANO, start=Start(ready=pretrained))
    single = replace(nano, only=(POSITION.name,))
    return (
        nano,
        # Fine-tuned, and then moved by the errors at labelled users; and the latter alone.
        replace(single, name=f"{NANO}-kriged", changes=_kriged),
        replace(single, name=f"{NANO}-at-once", changes=_at_once, tuned=False),
        _NANO,
        # What kriging alone brings: the same without pretraining.
        replace(
            _NANO,
            name=f"{_NANO.name}-kriged",
            only=(POSITION.name,),
            changes=_kriged,
            rate_of=_NANO.name,
        ),
        replace(_LWLM, name=LWLM, start=Start("lwlm/base.yaml")),
        replace(_LWLM, name=SFMCM, start=Start("lwlm/sfmcm.yaml")),
        replace(_LWLM, name=DTI, start=Start("lwlm/dti.yaml")),
        replace(_LWLM, name=PICL, start=Start("lwlm/picl.yaml")),
        _LWLM,
        Network(CNN, "resnet", _recipe_each("baselines/resnet-{}.yaml")),
        Network(
            SWIT,
            "swit",
            {"position": "baselines/swit-position.yaml"},
            _SWIT_HEADS,
            Start("baselines/swit.yaml"),
        ),
        Lookup(),
        Geometry("NOMP", Nomp()),
        Geometry("MUSIC", Music()),
        Geometry(OMP, Omp(), averaged),
        Geometry("OMP-weighted", Omp(), weighed_by_distance, only_together=True),
        Limit(),
        Limit(SURVEY, own=False),
    )
