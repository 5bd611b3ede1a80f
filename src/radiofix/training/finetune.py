"""Fine-tuning: a head on an encoder, pretrained or from scratch, with few labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

from radiofix.data.store import PathStore, open_paths
from radiofix.models.heads import StationHead
from radiofix.models.memory import meet
from radiofix.models.prompted import untouched, updated
from radiofix.training.adaptation import Adaptation
from radiofix.training.batches import LabelledBatches, warn_of_aliases
from radiofix.training.blending import Blend, blends, take, weights
from radiofix.training.checkpoints import LAST, RunFolder, provenance
from radiofix.training.evaluate import choice_of, errors, part_links, summary
from radiofix.training.localizing import Finetuning, build_localizer, pretrained
from radiofix.training.loop import Lesson, Loop, Outcome, Progress, Share
from radiofix.training.optimizer import group
from radiofix.training.pool import hold
from radiofix.training.pretrain import JUDGE_SEED
from radiofix.training.prompting import named, tell_map
from radiofix.training.recipe import FinetuneRecipe, plain
from radiofix.training.shipping import ship
from radiofix.training.start import begin
from radiofix.training.users import station_columns
from radiofix.types import Sounding, Truth


@dataclass(frozen=True)
class LabelledBatch:
    """Links with labels; links of one user follow each other."""

    sounding: Sounding
    truth: Truth
    together: bool = False
    """Whether a user's links are one answer."""

    @property
    def users(self) -> Tensor:
        """Rows of the store."""
        return self.sounding.user

    @property
    def samples(self) -> int:
        """Links."""
        return len(self.sounding)

    @property
    def counts(self) -> Float[Tensor, " link"] | None:
        """What each link's loss counts: of a user's together as much as of any other's (eq. 25)."""
        if not self.together:
            return None
        _, of, links = torch.unique(self.users, return_inverse=True, return_counts=True)
        counts: Tensor = self.samples / (len(links) * links[of])
        return counts

    def share(self, rank: int, processes: int) -> Share:
        """Whole users for each process; sums over a share are weighted to the batch's mean."""
        counts = self.counts
        if processes == 1:
            return Share((self.sounding, self.truth, counts, 1 / self.samples))
        distinct, of = torch.unique_consecutive(self.users, return_inverse=True)
        mine = of * processes // len(distinct) == rank
        own = None if counts is None else counts[mine]
        return Share((self.sounding[mine], self.truth[mine], own, processes / self.samples))


class LabelledStream:
    """Labelled links of a store, batch by batch."""

    def __init__(self, labelled: LabelledBatches, together: bool) -> None:
        self.labelled, self.together = labelled, together

    def draw(self, generator: torch.Generator) -> LabelledBatch:
        """The next batch."""
        return LabelledBatch(*self.labelled.draw(generator), self.together)

    def state_dict(self) -> dict[str, Any]:
        """The place among the users."""
        return dict(self.labelled.epochs.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a place."""
        self.labelled.epochs.load_state_dict(state)


def lesson(
    recipe: FinetuneRecipe,
    module: Finetuning,
    store: PathStore,
    fabric: Fabric,
    able: bool = False,
) -> Lesson:
    """What fine-tuning trains, on what, and how it is judged; `able`: its head is trained."""
    labelled = _labelled(recipe, module, store, fabric)
    _fit(module, labelled, recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        adaptation: Adaptation = recipe.adaptation.build()
        groups = adaptation.adapt(_encoder(module))
    return Lesson(
        module=module,
        groups=(*groups, group(module.localizer.head)),
        batches=LabelledStream(labelled, module.task.together),
        judge=_judge(recipe, store, fabric.device),
        compiled=(_encoder(module),),
        able=able,
    )


def finetune(
    fabric: Fabric,
    recipe: FinetuneRecipe,
    folder: RunFolder,
    resume: bool = False,
    seconds: float = math.inf,
    quiet: bool = True,
) -> Outcome:
    """Runs a recipe in its folder; once it is finished, its weights and facts are there too."""
    if recipe.store is None:
        raise ValueError("no store is given: name it by --store or store: in the recipe")
    store = open_paths(recipe.store)
    told = recipe
    start = None if recipe.pretrained is None else pretrained(recipe.pretrained)
    module = build_localizer(recipe, start)
    if start is not None:
        recipe = start.completed(recipe)
    if recipe.krige and not isinstance(module.localizer.head, StationHead):
        kind = type(module.localizer.head).__name__
        raise ValueError(f"krige moves places of single links, {kind} gives none: leave it out")
    recipe = named(recipe)
    tell_map(module, recipe, store)
    counts = {"labels": recipe.labels, "steps": recipe.training.steps}
    untrained = next((name for name, count in counts.items() if not count), None)
    if untrained is not None:
        if start is None or not start.readies(module.localizer.head):
            raise ValueError(f"{untrained}=0 trains no head: pretrain one by simulated supervision")
        if told.prompter is not None:
            raise ValueError(f"{untrained}=0 trains no prompter: leave it out, or give {untrained}")
        return _taken(folder, told, recipe, module, store, fabric)
    able = start is not None and start.readies(module.localizer.head)
    known = None if start is None else weights(module)
    taught = lesson(recipe, module, store, fabric, able)
    learns = updated(module.localizer)
    loop = Loop(fabric, taught, recipe.training, folder, recipe.seed)
    if fabric.is_global_zero:
        begin(folder, told)
    if resume and folder.has(LAST):
        loop.resume()
    outcome = replace(loop.run(seconds, quiet), learns=learns)
    if outcome.finished and fabric.is_global_zero:
        best, last = _settled(loop, recipe)
        if known is not None and recipe.blend and recipe.training.keep == "best":
            with fabric.autocast():
                found = blends(best, known, last, recipe.blend, taught.judge)
            outcome = _better(best, min(found, key=lambda blend: blend.score), outcome)
        assert isinstance(taught.batches, LabelledStream)
        outcome = _kriged(best, taught.batches.labelled, recipe, store, fabric.device, outcome)
        _calibrate(best, taught.batches.labelled, recipe, store, fabric.device)
        _finish(folder, recipe, best, store, fabric, outcome)
    return outcome


def _taken(
    folder: RunFolder,
    told: FinetuneRecipe,
    recipe: FinetuneRecipe,
    module: Finetuning,
    store: PathStore,
    fabric: Fabric,
) -> Outcome:
    """A pretrained run's own head as it is; what labels there are serve without any training."""
    labelled = _labelled(recipe, module, store, fabric) if recipe.labels else None
    module.to(fabric.device).eval()
    figures = dict(_judge(recipe, store, fabric.device)(module))
    outcome = Outcome(
        Progress(figures=figures),
        finished=True,
        samples_per_second=0.0,
        learns=untouched(module.localizer),
    )
    if not fabric.is_global_zero:
        return outcome
    begin(folder, told)
    if labelled is not None:
        outcome = _kriged(module, labelled, recipe, store, fabric.device, outcome)
        _calibrate(module, labelled, recipe, store, fabric.device)
    _finish(folder, recipe, module, store, fabric, outcome)
    return outcome


def _labelled(
    recipe: FinetuneRecipe, module: Finetuning, store: PathStore, fabric: Fabric
) -> LabelledBatches:
    """The labelled links; the module comes to where they are."""
    columns = station_columns(store, recipe.stations)
    chosen = choice_of(recipe, store, columns).labelled(recipe.labels, recipe.seed)
    pool = hold(store, chosen, columns, fabric.device, module.task.usable)
    warn_of_aliases(recipe.receiver, pool)
    batch = min(recipe.training.batch, len(pool.reachable))
    labelled = LabelledBatches(pool, recipe.receiver, batch, recipe.fewest_stations)
    module.to(fabric.device)
    return labelled


def _settled(loop: Loop, recipe: FinetuneRecipe) -> tuple[Finetuning, dict[str, Tensor]]:
    """The module of the best step, and the weights of the last one."""
    adaptation: Adaptation = recipe.adaptation.build()
    module = loop.learnt
    assert isinstance(module, Finetuning)
    adaptation.settle(_encoder(module))
    last = weights(module)
    adaptation.adapt(_encoder(module))
    loop.take_best()
    adaptation.settle(_encoder(module))
    return module, last


def _better(best: Finetuning, blend: Blend, outcome: Outcome) -> Outcome:
    """Gives the module of the best step the weights of a blend where validation users prefer it."""
    if blend.score >= outcome.progress.best:
        return outcome
    take(best, blend.parameters)
    progress = replace(outcome.progress, best=blend.score, figures=dict(blend.figures))
    return replace(outcome, progress=progress, blend=blend.share)


def _kriged(
    module: Finetuning,
    labelled: LabelledBatches,
    recipe: FinetuneRecipe,
    store: PathStore,
    device: torch.device,
    outcome: Outcome,
) -> Outcome:
    """Lets labelled users move places, where the recipe asks for it and validation users agree."""
    if not recipe.krige:
        return outcome
    generator = torch.Generator(device).manual_seed(JUDGE_SEED)
    held_out = part_links(recipe, store, module.task, "validation", recipe.validation_users, device)
    module.localizer.krige(labelled.each(generator), held_out)
    if not module.localizer.kriging.fitted:
        return outcome
    figures = dict(_judge(recipe, store, device)(module))
    progress = replace(outcome.progress, best=next(iter(figures.values())), figures=figures)
    return replace(outcome, progress=progress)


def _calibrate(
    module: Finetuning,
    labelled: LabelledBatches,
    recipe: FinetuneRecipe,
    store: PathStore,
    device: torch.device,
) -> None:
    """Makes the covariances of fixes honest on validation users, where the head gives positions."""
    if isinstance(module.localizer.head, StationHead):
        generator = torch.Generator(device).manual_seed(JUDGE_SEED)
        known = (sounding for sounding, _ in labelled.each(generator))
        held_out = part_links(
            recipe, store, module.task, "validation", recipe.validation_users, device
        )
        module.localizer.calibrate(known, held_out)


def _finish(
    folder: RunFolder,
    recipe: FinetuneRecipe,
    module: Finetuning,
    store: PathStore,
    fabric: Fabric,
    outcome: Outcome,
) -> None:
    config = {
        "kind": "finetune",
        "recipe": plain(recipe),
        "unit": module.task.unit,
        **provenance(store, recipe.seed, fabric.device),
        "figures": outcome.figures,
        "learns": None if outcome.learns is None else outcome.learns.plain,
    }
    folder.finish(module.state_dict(), config)
    if recipe.encoder is not None and recipe.head is not None:
        facts = {**config, "trained_by": "finetune"}
        ship(folder.path, module.localizer, recipe.encoder, recipe.head, facts)


def _judge(
    recipe: FinetuneRecipe, store: PathStore, device: torch.device
) -> Callable[[nn.Module], Mapping[str, float]]:
    """Makes of a module the figures of its errors on validation users, always the same links."""
    task = recipe.task.build()
    links = part_links(recipe, store, task, "validation", recipe.validation_users, device)

    def judge(trained: nn.Module) -> Mapping[str, float]:
        assert isinstance(trained, Finetuning)
        return summary(errors(trained, links))

    return judge


@torch.no_grad()
def _fit(module: Finetuning, labelled: LabelledBatches, seed: int) -> None:
    """Takes all scales from the labelled training links."""
    generator = torch.Generator(labelled.pool.reachable.device).manual_seed(seed)
    soundings, truths = zip(*labelled.all(generator), strict=True)
    meet(module.localizer.encoder, soundings)
    module.localizer.head.fit(soundings, truths)  # type: ignore[operator]  # every head has it
    module.task.fit(soundings, truths)


def _encoder(module: Finetuning) -> nn.Module:
    encoder = module.localizer.encoder
    assert isinstance(encoder, nn.Module)
    return encoder
