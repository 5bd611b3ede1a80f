"""The LWLM paper's bench in words."""

from __future__ import annotations

from radiofix.benchmark.lwlm.methods import methods
from radiofix.benchmark.lwlm.paper import printed
from radiofix.benchmark.lwlm.protocols import AGENDA, NANO
from radiofix.benchmark.lwlm.scales import LAPTOP, SCALES
from radiofix.benchmark.runs.printed import Printed
from radiofix.benchmark.runs.protocols import Protocol
from radiofix.benchmark.runs.subject import SMALL, Column, Subject


def _printed(figure: str, x: float, method: str) -> tuple[Printed, ...]:
    found = printed(figure, x, method)
    return () if found is None else (found,)


def _heading(protocol: Protocol) -> str:
    return "Beyond the paper" if protocol.ours else f"Fig. {protocol.name.removeprefix('fig')}"


SUBJECT = Subject(
    agenda=AGENDA,
    scales=SCALES,
    methods=methods,
    printed=_printed,
    title="The figures of the LWLM paper, run again",
    caution=(
        "The scene is our rebuild of O1, not the paper's ray tracing, so the paper's numbers "
        "stand beside ours for orientation; what carries a claim are rows of one table, which saw "
        "the same channels (of a store that two processors traced, where its runs are told apart "
        "under How it was made, the same users and channels that are rounded differently). "
        "The split region, where test users are far from labelled ones, is the "
        "headline. The paper's numbers are of a random split, whose test users stand among "
        "labelled ones: the distance to the nearest label stands beside. A star marks a number "
        "worked back from a percentage in the paper's text, a range what such a percentage leaves "
        "open."
    ),
    at={
        "smoke": SMALL,
        "laptop": (
            "At this scale the networks of the paper are smaller than published and learn for "
            "minutes: LWLM and its kin are "
            f"{LAPTOP.sizes['lwlm']['encoder.init_args']['dim']} wide with 65 tokens and "
            f"pretrained for {LAPTOP.pretraining['steps']:,} steps of "
            f"{LAPTOP.pretraining['batch']} links, where the paper has 36.7 million steps; "
            "radiofix-nano begins with the weights named under How it was made, radiofix-nano-o1 "
            f"with 12,000 steps; all are then fine-tuned for {LAPTOP.finetuning['steps']}. What "
            "the paper's networks do after its training is not asked here."
        ),
    },
    beside=(
        "Our scene is a rebuild, not the paper's ray tracing: the paper's numbers, of a random "
        "split, are for orientation, and rows of one table carry a claim."
    ),
    heading=_heading,
    words={"mean": "mean", "p50": "50 %"},
    remarks={},
    held_against=dict.fromkeys(("fig8", "fig9", "fig10a", "fig11a"), (NANO,)),
    digest=(
        Column("ToA, 50 % [m]", "fig8", 10_000),
        Column("AoA, 50 % [°]", "fig9", 10_000),
        Column("position, mean [m]", "fig10a", 10_000),
        Column("of 2,000 labels", "fig10b", 2_000),
        Column("of 250 labels", "fig10b", 250),
        Column("50 MHz", "fig10c", 50),
        Column("every 5th pilot", "fig10d", 5),
        Column("10 dB", "snr", 10),
        Column("four stations", "fig11c", 10_000),
        Column("four, 2,000 labels", "fig11c", 2_000),
        Column("out of sight", "hidden", 10_000),
    ),
)
