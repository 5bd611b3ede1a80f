"""How much of the SigMap paper's protocols is run."""

from __future__ import annotations

from typing import Any

from radiofix.benchmark.lwlm.scales import LAPTOP as LWLM_LAPTOP
from radiofix.benchmark.lwlm.scales import SMOKE as LWLM_SMOKE
from radiofix.benchmark.runs.scales import Pace, Scale

_TABLE5 = {
    "batch": 32,
    "final_rate": 0.0,
    "weight_decay": 1e-5,
    "decoupled": False,
    "clip": 1.0,
}
"""Adam's settings of the paper; 300 epochs of its data are the steps below."""
_SQUARED = {"divergence": 400.0}
"""Eq. 3 squares errors, so that losses scatter by the square of the usual 20: one user of a small
batch who is far off is no divergence."""
_FEW = {"keep": "last"}
"""Fewer labels than validation users: no step is chosen by these. Nor in many cities, whose
validation users are heard by the stations that are taught: to know these again is no merit."""


def _sigmap(dim: int, layers: int, heads: int, patch: int) -> dict[str, Any]:
    """A smaller SigMap, whose loss is on what was hidden alone."""
    decoder = {
        "dim": dim,
        "layers": 1,
        "heads": heads,
        "feedforward": 4 * dim,
        "patch": [patch, patch],
        "dropout": 0.0,
    }
    sizes = {"dim": dim, "layers": layers, "heads": heads, "patch": [patch, patch]}
    return {
        "encoder.init_args": sizes,
        "objectives.masked": {"class_path": "radiofix.objectives.sfmcm.Sfmcm"},
        "objectives.masked.init_args.decoder.init_args": decoder,
        "objectives.masked.init_args.part": [0, dim],
    }


SMOKE = Scale(
    name="smoke",
    labels={0: 0, 100: 6, 10_000: 16},
    test_users=12,
    validation_users=8,
    limit_users=1,
    seeds=(0,),
    rates=(1e-3,),
    finetuning={
        **LWLM_SMOKE.finetuning,
        **{"precision": "32-true", "steps": 2, "validate_every": 2},
    },
    pretraining={**LWLM_SMOKE.pretraining, "steps": 2, "validate_every": 2},
    sizes={**LWLM_SMOKE.sizes, "sigmap": _sigmap(32, 1, 2, 8)},
    pace={
        "radiofix": Pace(0.6, schooling=0.5),
        "sigmap": Pace(0.6, pretraining=0.3, schooling=0.5),
        "lwlm": Pace(0.6, pretraining=0.4),
        "resnet": Pace(3.0),
        "swit": Pace(0.6, pretraining=0.6),
        "lookup": Pace(0.3),
        "geometry": Pace(0.3),
    },
    splits=("region",),
    points=2,
    few=_FEW,
    schooling={
        **LWLM_SMOKE.finetuning,
        **_FEW,
        **{"batch": 4, "steps": 2, "validate_every": 2, "rate": 1e-3, "precision": "32-true"},
    },
    schooled_users=12,
)
LAPTOP = Scale(
    name="laptop",
    labels={n: n for n in (0, 10, 30, 100, 300, 1_000, 10_000)},
    test_users=2_000,
    validation_users=500,
    limit_users=1,
    seeds=(0, 1, 2),
    sparing=True,
    rates=(3e-4, 1e-3),
    frozen_rates=(3e-3, 1e-2),
    finetuning={**LWLM_LAPTOP.finetuning, **_SQUARED},
    pretraining=LWLM_LAPTOP.pretraining,
    sizes={**LWLM_LAPTOP.sizes, "sigmap": _sigmap(128, 5, 4, 8)},
    pace={
        **LWLM_LAPTOP.pace,
        "radiofix": Pace(11.0, 0.0020, 0.0015, schooling=1.2),
        "sigmap": Pace(11.0, 0.0020, 0.0015, pretraining=0.25, schooling=1.2),
    },
    few={**_FEW, "steps": 300, "warmup": 30, "validate_every": 300, "batch": 16},
    few_anew={"steps": 1_200, "warmup": 120, "validate_every": 1_200},
    schooling={
        **LWLM_LAPTOP.finetuning,
        **_FEW,
        "batch": 32,
        "steps": 3_000,
        "warmup": 200,
        "validate_every": 500,
        "rate": 5e-4,
        "checkpoint_every": 250,
    },
    schooled_users=12_000,
)
PAPER = Scale(
    name="paper",
    labels={n: n for n in (0, 10, 30, 100, 300, 1_000, 10_000)},
    test_users=10_000,
    validation_users=1_000,
    limit_users=1,
    seeds=(0, 1, 2, 3, 4),
    rates=(1e-4,),
    finetuning={**_TABLE5, **_SQUARED, "steps": 93_750, "warmup": 3_125, "validate_every": 625},
    pretraining={
        **_TABLE5,
        "steps": 4_500_000,
        "warmup": 150_000,
        "validate_every": 5_000,
        "checkpoint_every": 1_000,
        "precision": "bf16-mixed",
    },
    few={**_FEW, "steps": 3_000, "warmup": 100, "validate_every": 3_000},
    few_anew={"steps": 12_000, "warmup": 400, "validate_every": 12_000},
    schooling={
        **_TABLE5,
        **_FEW,
        "steps": 300_000,
        "warmup": 10_000,
        "validate_every": 5_000,
        "checkpoint_every": 1_000,
        "rate": 1e-4,
    },
    schooled_users=100_000,
)
SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, PAPER)}
