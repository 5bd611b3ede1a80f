"""How much of the LWLM paper's protocols is run."""

from __future__ import annotations

import math
from typing import Any

from radiofix.benchmark.runs.scales import Pace, Scale

_SCHEDULE = {
    "batch": 64,
    "final_rate": 0.01,
    "weight_decay": 0.05,
    "decoupled": True,
    "clip": 1.0,
    "precision": "bf16-mixed",
}


def _lwlm(dim: int, layers: int, heads: int, patch: int, feedforward: int) -> dict[str, Any]:
    """A smaller LWLM: shares of the latent as published, 3 : 3 : 2."""
    large, small = 3 * dim // 8, dim // 4
    decoder = {
        "dim": large,
        "layers": min(2, layers),
        "heads": heads,
        "feedforward": feedforward,
        "patch": [patch, patch],
    }
    encoder = {"dim": dim, "layers": layers, "heads": heads, "feedforward": feedforward}
    shapes = {"antennas": 32, "subcarriers": 128, "patch": patch}
    return {
        "encoder.init_args": {**encoder, **shapes},
        "head.init_args.estimator.init_args.dim": dim,
        "objectives.sfmcm.init_args.decoder.init_args": decoder,
        "objectives.sfmcm.init_args.part": [0, large],
        "objectives.dti.init_args.decoder.init_args": decoder,
        "objectives.dti.init_args.part": [large, 2 * large],
        "objectives.picl.init_args.decoder.init_args": {"dim": small, "out": min(32, small)},
        "objectives.picl.init_args.part": [2 * large, dim],
    }


def _swit(dim: int, prototypes: int, token_prototypes: int) -> dict[str, Any]:
    counts = {"prototypes": prototypes, "token_prototypes": token_prototypes}
    return {
        "encoder.init_args.dim": dim,
        "head.init_args.estimator.init_args.dim": dim,
        "objectives.swit.init_args": counts,
    }


SMOKE = Scale(
    name="smoke",
    labels={1_000: 8, 10_000: 24},
    test_users=16,
    validation_users=16,
    limit_users=4,
    seeds=(0,),
    sparing=True,
    rates=(1e-3,),
    finetuning={**_SCHEDULE, "batch": 8, "steps": 3, "validate_every": 3, "log_every": 3},
    pretraining={"steps": 3, "batch": 8, "warmup": 0, "validate_every": 3, "log_every": 3},
    sizes={"lwlm": _lwlm(32, 1, 2, 8, 64), "swit": _swit(32, 64, 32)},
    pace={
        "radiofix": Pace(0.7),
        "lwlm": Pace(0.7, pretraining=0.2),
        "resnet": Pace(4.0),
        "swit": Pace(0.8, pretraining=0.4),
        "lookup": Pace(0.5),
        "geometry": Pace(0.3),
        "limit": Pace(1.5),
        "survey": Pace(1.5),
    },
    splits=("region",),
    points=2,
    grid_spacing=math.inf,
)
LAPTOP = Scale(
    name="laptop",
    labels={n: n for n in (250, 1_000, 2_000, 10_000)},
    test_users=2_000,
    validation_users=500,
    limit_users=200,
    seeds=(0, 1, 2),
    sparing=True,
    rates=(3e-4, 1e-3),
    finetuning={**_SCHEDULE, "steps": 900, "warmup": 90, "validate_every": 150},
    pretraining={
        **_SCHEDULE,
        "steps": 3_000,
        "warmup": 300,
        "rate": 5e-4,
        "keep": "last",
        "validate_every": 500,
        "checkpoint_every": 250,
    },
    sizes={"lwlm": _lwlm(128, 4, 4, 8, 512), "swit": _swit(192, 2_048, 256)},
    pace={
        "radiofix": Pace(11.0, 0.0020, 0.0015),
        "lwlm": Pace(11.0, 0.0040, 0.0020, pretraining=1.26),
        "resnet": Pace(17.0, 0.0097, 0.0032),
        "swit": Pace(11.0, 0.0050, 0.0020, pretraining=1.2),
        "lookup": Pace(15.0, fix=0.0010),
        "geometry": Pace(7.0, fix=0.0070),
        "limit": Pace(60.0, fix=0.2),
        "survey": Pace(60.0, fix=0.2),
    },
)
PAPER = Scale(
    name="paper",
    labels={n: n for n in (250, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000)},
    test_users=10_000,
    validation_users=1_000,
    limit_users=2_000,
    seeds=(0, 1, 2),
    rates=(1e-4, 3e-4, 1e-3),
    finetuning={**_SCHEDULE, "steps": 30_000, "warmup": 500, "validate_every": 500},
    pretraining={"steps": 400_000, "warmup": 4_000, "validate_every": 5_000, "keep": "last"},
)
SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, PAPER)}
