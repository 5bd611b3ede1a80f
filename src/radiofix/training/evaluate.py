"""How far off a localizer is, on links it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radiofix.data.store import PathStore, open_paths
from radiofix.models.calibration import coverage
from radiofix.models.fusing import Fusion
from radiofix.models.heads import StationHead
from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.objectives.tasks import AoaTask, FusedPositionTask, Task, ToaTask
from radiofix.training.batches import LabelledBatches
from radiofix.training.checkpoints import RunFolder
from radiofix.training.localizing import Finetuning, build_localizer, finetuned, pretrained
from radiofix.training.pool import hold
from radiofix.training.pretrain import JUDGE_SEED
from radiofix.training.recipe import FinetuneRecipe
from radiofix.training.users import Choice, station_columns
from radiofix.types import Fix, Sounding, Truth

SHARES = (67, 80, 90, 95)
"""Of the users, in percent, whose largest error is told."""
QUANTITIES = {"toa": time_of_arrival, "aoa": angle_of_arrival}
SURE, FAR = 20.0, 50.0
"""Stated deviation up to which a fix is called sure, and errors that are mistakes [m]."""
TOGETHER = 256
"""Users that are located at a time."""


@torch.no_grad()
def errors(module: Finetuning, links: Sequence[tuple[Sounding, Truth]]) -> Float[Tensor, " answer"]:
    """The error of each answer, in the task's unit; a user that was fused is one answer."""
    found = []
    for sounding, truth in links:
        error = module.task.error(module.localizer(sounding), sounding, truth)
        found.append(error[_answering(module.task, sounding)])
    return torch.cat(found).double().cpu()


def asked(task: Task, links: Sequence[tuple[Sounding, Truth]]) -> Int[Tensor, " answer"]:
    """Whose each of the `errors` is, by rows of the store."""
    return torch.cat([sounding.user[_answering(task, sounding)] for sounding, _ in links]).cpu()


def _answering(task: Task, sounding: Sounding) -> Bool[Tensor, " link"]:
    """Links that an answer is counted of: the first of each user whose stations are fused."""
    new = torch.ones_like(sounding.user, dtype=torch.bool)
    if isinstance(task, FusedPositionTask):
        new[1:] = sounding.user[1:] != sounding.user[:-1]
    return new


def summary(error: Float[Tensor, " answer"]) -> dict[str, float]:
    """Mean, median, root mean square, and the errors that a share of the answers stays below."""
    shares = torch.quantile(error, torch.tensor([s / 100 for s in SHARES], dtype=error.dtype))
    return {
        "mean": float(error.mean()),
        "median": float(error.quantile(0.5)),
        "rmse": float(error.square().mean().sqrt()),
        **{f"p{s}": float(value) for s, value in zip(SHARES, shares, strict=True)},
    }


def fixes(module: Finetuning, links: Sequence[tuple[Sounding, Truth]]) -> list[Fix]:
    """The fixes of each batch of links; none where the head gives no positions of single links."""
    if not isinstance(module.localizer.head, StationHead):
        return []
    return [module.localizer.fix(sounding) for sounding, _ in links]


def honesty(found: Sequence[Fix], links: Sequence[tuple[Sounding, Truth]]) -> dict[str, float]:
    """How much stated covariances are worth.

    The share of links inside their stated 90 % ellipse, the share that is trusted, the share that
    is sure, and the share of these that is far off all the same. Empty where there are no fixes.
    """
    if not found:
        return {}
    pairs = list(zip(found, links, strict=True))
    error = torch.cat([(fix.position - truth.position)[:, :2] for fix, (_, truth) in pairs])
    stated = torch.cat([fix.covariance[:, :2, :2] for fix in found])
    sure = stated.diagonal(dim1=1, dim2=2).mean(-1).sqrt() <= SURE
    shares = {
        "trusted": torch.cat([fix.trusted for fix in found]),
        "sure": sure,
        "far_though_sure": error.norm(dim=-1)[sure] > FAR,
    }
    return {
        "held_at_90": coverage(error, torch.linalg.cholesky(stated)),
        **{name: float(share.double().mean()) for name, share in shares.items() if len(share)},
    }


def joined(found: Sequence[Fix], links: Sequence[tuple[Sounding, Truth]]) -> dict[str, float]:
    """Errors of users by all stations that heard them [m], joined as `radiofix locate` does it.

    Beside them the shares that are inside their stated 90 % ellipses and that are trusted. Empty
    where there are no fixes, or nobody was heard by two stations.
    """
    away, stated, trusted, several = [], [], [], False
    for fix, (sounding, truth) in zip(found, links, strict=bool(found)):
        row = torch.unique_consecutive(sounding.user, return_inverse=True)[1]
        first = row.diff(prepend=row.new_tensor([-1])) > 0
        fused = Fusion().join(fix, row.cpu().numpy(), int(first.sum()))
        # Who sent nothing but silence is nowhere.
        there = np.isfinite(fused.position).all(-1)
        away.append(fused.position[there] - truth.position[first].cpu().numpy()[there])
        stated.append(fused.covariance[there])
        trusted.append(fused.trusted[there])
        several |= not bool(first.all())
    error = torch.from_numpy(np.concatenate(away))[:, :2].double() if several else torch.empty(0, 2)
    if not len(error):
        return {}
    covariance = torch.from_numpy(np.concatenate(stated))[:, :2, :2]
    return {
        **summary(error.norm(dim=-1)),
        "held_at_90": coverage(error, torch.linalg.cholesky(covariance)),
        "trusted": float(np.concatenate(trusted).mean()),
        "users": len(error),
    }


@torch.no_grad()
def implied(module: Finetuning, links: Sequence[tuple[Sounding, Truth]]) -> dict[str, float]:
    """Errors of the ToA [m] and AoA [degrees] that positions imply, of links with line of sight.

    Empty where the head gives no positions of single links, or nobody sees a station.
    """
    if not isinstance(module.localizer.head, StationHead):
        return {}
    found: dict[str, list[Tensor]] = {"toa": [], "aoa": []}
    for sounding, truth in links:
        position = module.localizer(sounding).position
        for name, task in (("toa", ToaTask()), ("aoa", AoaTask())):
            told = QUANTITIES[name](sounding, position)
            found[name].append(task.error(told, sounding, truth)[truth.line_of_sight])
    each = {name: torch.cat(errors).double() for name, errors in found.items()}
    return {
        f"{name}_{figure}": value
        for name, error in each.items()
        if len(error)
        for figure, value in summary(error).items()
    }


def choice_of(recipe: FinetuneRecipe, store: PathStore, columns: Sequence[int]) -> Choice:
    """The users that a recipe is about."""
    return Choice(store, recipe.split, columns, recipe.among.build())


def part_links(
    recipe: FinetuneRecipe,
    store: PathStore,
    task: Task,
    part: str,
    users: int,
    device: torch.device | str,
) -> list[tuple[Sounding, Truth]]:
    """Labelled links of at most so many users of a part: always the same, noise included."""
    columns = station_columns(store, recipe.stations)
    rows = choice_of(recipe, store, columns).held_out(part, users, recipe.seed)
    pool = hold(store, rows, columns, device, task.usable)
    labelled = LabelledBatches(pool, recipe.receiver, min(TOGETHER, len(pool.reachable)))
    return labelled.all(torch.Generator(device).manual_seed(JUDGE_SEED))


def evaluate(
    path: Path,
    store: PathStore,
    split: str | None = None,
    part: str = "test",
    users: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """The errors of a finished run on one part of a split, `split` being by default the run's."""
    module, recipe = finetuned(path)
    recipe = replace(recipe, split=split or recipe.split)
    links = part_links(recipe, store, module.task, part, users or store.users, device)
    found = errors(module.to(device), links)
    placed = fixes(module, links)
    return {
        **summary(found),
        **honesty(placed, links),
        "joined": joined(placed, links),
        "implied": implied(module, links),
        "unit": module.task.unit,
        "answers": len(found),
        "split": recipe.split,
        "part": part,
    }


@dataclass(frozen=True)
class HeldOut:
    """What a run answers test users."""

    errors: Float[Tensor, " answer"]
    """In the task's unit."""
    honesty: dict[str, float]
    """Of the stated ellipses, as `honesty` has it."""
    implied: dict[str, float]
    """Errors of times and angles of arrival, as `implied` has them."""
    user: Int[Tensor, " answer"]
    """Whose they are, by rows of the store."""


def held_out(recipe: FinetuneRecipe, folder: RunFolder | None, users: int) -> HeldOut:
    """How far off a run is on at most so many test users of the recipe's own store.

    Args:
        recipe: of the run.
        folder: where it has finished; None: what its pretrained run does without any label.
        users: at most.
    """
    if recipe.store is None:
        raise ValueError("no store is given: name it in the recipe")
    if folder is not None:
        module = finetuned(folder.path)[0]
    else:
        start = None if recipe.pretrained is None else pretrained(recipe.pretrained)
        module = build_localizer(recipe, start).eval()
        if start is None or not start.readies(module.localizer.head):
            raise ValueError("no label and no pretrained head: name a run of simulated supervision")
    store = open_paths(recipe.store)
    links = part_links(recipe, store, module.task, "test", users, "cpu")
    stated = honesty(fixes(module, links), links)
    return HeldOut(errors(module, links), stated, implied(module, links), asked(module.task, links))
