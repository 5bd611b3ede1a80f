"""What pretraining taught: its losses on held-out users, and what each part of the latent knows.

The information argument of the LWLM paper's section III, measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from radiofix.benchmark import probes
from radiofix.benchmark.held_out import (
    TOGETHER,
    VALIDATION,
    HeldOut,
    contrasts,
    curves,
    hidden_errors,
)
from radiofix.benchmark.probes import Answer, Array, Known
from radiofix.models.latent import Encoder, Latent
from radiofix.objectives.objective import Objective
from radiofix.objectives.picl import Picl
from radiofix.objectives.sfmcm import Sfmcm
from radiofix.training.batches import LabelledBatches
from radiofix.training.checkpoints import provenance
from radiofix.training.encoding import build
from radiofix.training.pool import HeldPool
from radiofix.training.pretrain import JUDGE_SEED
from radiofix.training.recipe import plain
from radiofix.training.users import Choice, Everybody, station_columns
from radiofix.types import Sounding, Truth


def knowledge(asked: HeldOut, labels: int, station: str, bandwidth: float) -> list[dict[str, Any]]:
    """What each part of the latent, the untrained encoder and the wave tell of a link.

    Readers are fitted on labelled users of the split's training part, and judged on others.
    """
    run, recipe = asked.run, asked.run.recipe
    columns = station_columns(asked.store, [station])
    choice = Choice(asked.store, recipe.split, columns, Everybody())
    rows = (choice.labelled(labels, recipe.seed), choice.held_out(asked.part, labels, recipe.seed))
    receiver = replace(recipe.receiver, bandwidths=(bandwidth,))
    links = []
    for users in rows:
        pool = HeldPool(asked.store, users, columns)
        batches = LabelledBatches(pool, receiver, min(TOGETHER, len(pool.reachable)))
        links.append(batches.all(torch.Generator().manual_seed(JUDGE_SEED)))
    labelled, held_out = (
        _known(part, run.module.encoder, build(recipe).encoder, run.parts) for part in links
    )
    found = probes.probe(labelled, held_out, recipe.seed) + _unread(labelled, held_out)
    return [asdict(answer) for answer in found]


def report(
    asked: HeldOut, labels: int = 2000, station: str = "3", bandwidth: float = 10e6
) -> dict[str, Any]:
    """All of it, for one run; what a run was not trained for is not there."""
    run = asked.run
    kinds = {type(objective) for objective in run.module.mixture.objectives.values()}
    batch = run.recipe.training.batch
    watched = replace(asked, part=VALIDATION, users=run.recipe.validation_users)
    sections: dict[type[Objective], tuple[str, Callable[[], Any]]] = {
        Sfmcm: ("hidden_nmse", lambda: {p.part: hidden_errors(p) for p in (asked, watched)}),
        Picl: ("contrast", lambda: contrasts(asked, sorted({batch, len(asked.pool.reachable)}))),
    }
    recipe = plain(run.recipe)
    # Where things lay on the machine that trained is nobody's business.
    recipe["store"] = asked.store.path.name
    began = recipe["pretrained"]
    recipe["pretrained"] = began if began is None else Path(began).name
    probed = {"labels": labels, "station": station, "bandwidth": bandwidth}
    return {
        "step": run.step,
        "finished": run.finished,
        "recipe": recipe,
        **provenance(asked.store, run.recipe.seed, torch.device("cpu")),
        "part": asked.part,
        "users": len(asked.pool.reachable),
        "curves": curves(run),
        **{name: work() for kind, (name, work) in sections.items() if kind in kinds},
        "probes": {**probed, "answers": knowledge(asked, labels, station, bandwidth)},
    }


def tables(found: Mapping[str, Any]) -> list[str]:
    """What a report holds, as Markdown tables: for people, and for docs/information.md."""
    sections: dict[str, Callable[[Any], str]] = {
        "hidden_nmse": _hidden_table,
        "contrast": _contrast_table,
    }
    told = [_end_table(found)]
    told += [write(found[name]) for name, write in sections.items() if name in found]
    return [*told, _probe_table(found["probes"]["answers"])]


@torch.no_grad()
def _known(
    links: Sequence[tuple[Sounding, Truth]],
    trained: Encoder,
    untrained: Encoder,
    parts: Mapping[str, tuple[int, int]],
) -> Known:
    features: dict[str, list[Array]] = {}
    truths: dict[str, list[Array]] = {}
    for sounding, truth in links:
        seen = {
            **_features("pretrained", trained(sounding), parts),
            **_features("untrained", untrained(sounding), parts),
            **_wave(trained(sounding)),
        }
        for into, values in ((features, seen), (truths, probes.answers(sounding, truth))):
            for name, found in values.items():
                into.setdefault(name, []).append(found)
    return Known(
        {name: np.concatenate(found) for name, found in features.items()},
        {name: np.concatenate(found) for name, found in truths.items()},
    )


def _features(
    encoder: str, latent: Latent, parts: Mapping[str, tuple[int, int]]
) -> dict[str, Array]:
    found = {}
    for name, part in parts.items():
        share = latent.part(*part)
        found[f"{encoder}/{name}/summary"] = share.summary.double().numpy()
        found[f"{encoder}/{name}/tokens"] = share.tokens.mean(1).double().numpy()
    return found


def _wave(latent: Latent) -> dict[str, Array]:
    """The strongest wave, which an encoder is told beside the channel: its way, and whence."""
    if latent.wave is None:
        return {}
    way, azimuth = latent.wave.range.double(), latent.wave.azimuth.double()
    place = [way, azimuth.rad2deg(), way * azimuth.cos(), way * azimuth.sin()]
    return {"wave": torch.stack(place, -1).numpy()}


def _unread(labelled: Known, held_out: Known) -> list[Answer]:
    """What to compare readers with: the mean label, the nearest, the wave's own way and azimuth."""
    found = []
    for name, truth in held_out.truth.items():
        mean = np.broadcast_to(np.nanmean(labelled.truth[name], 0), truth.shape)
        found.append(probes.judged("nothing", "mean label", name, mean, truth))
    places, asked = labelled.truth["position"], held_out.truth["position"]
    nearest = NearestNeighbors(n_neighbors=1).fit(places).kneighbors(asked)[1][:, 0]
    found.append(probes.judged("the truth", "nearest label", "position", places[nearest], asked))
    wave = held_out.features.get("wave", np.empty((0, 0)))
    for column, name in zip(range(wave.shape[1]), ("toa", "aoa"), strict=False):
        answer = wave[:, [column]]
        found.append(probes.judged("wave", "as it is", name, answer, held_out.truth[name]))
    return found


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _end_table(found: Mapping[str, Any]) -> str:
    curves = {name: values[-1] for name, values in found["curves"].items()}
    rows = [[name, f"{value:,.3f}"] for name, value in curves.items() if name != "samples"]
    steps = f"{found['step']:,} of {found['recipe']['training']['steps']:,} steps"
    return _table([f"held-out users after {steps}", f"{curves['samples']:,.0f} samples"], rows)


def _hidden_table(parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = [
        [f"{part} users, {name}", *(f"{row['mean'][name]:.3g}" for row in bands)]
        for part, bands in parts.items()
        for name in bands[0]["mean"]
    ]
    bands = next(iter(parts.values()))
    head = ["mean hidden NMSE", *(f"{row['bandwidth'] / 1e6:g} MHz" for row in bands)]
    return _table(head, rows)


def _contrast_table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["partner", "users N", "eq. 5 [nat]", "log N - L [nat]", "log N [nat]", "eq. 13 [nat]"]
    figures = ("info_nce", "bound", "most", "nt_xent")
    return _table(
        head,
        ([r["partner"], f"{r['users']:,}", *(f"{r[f]:.2f}" for f in figures)] for r in rows),
    )


def _probe_table(answers: Sequence[Mapping[str, Any]]) -> str:
    """Medians; pretrained and untrained, or what reads nothing of the latent, side by side."""
    cells: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for answer in answers:
        encoder, *share = answer["features"].split("/")
        row = cells.setdefault((": ".join(share) or encoder, answer["reader"]), {})
        told = row.setdefault(answer["quantity"], {})
        told[encoder if share else ""] = answer["median"]
    units = {answer["quantity"]: answer["unit"] for answer in answers}
    head = [f"{quantity} [{unit}]" for quantity, unit in units.items()]
    rows = (
        [*name, *(" / ".join(f"{e:.1f}" for e in row.get(q, {}).values()) for q in units)]
        for name, row in cells.items()
    )
    return _table(["read from", "reader", *head], rows)
