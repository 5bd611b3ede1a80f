"""Self-supervised pretraining: from a recipe to an encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from radiofix.data.store import PathStore, open_paths
from radiofix.models.localizer import Localizer
from radiofix.models.memory import meet
from radiofix.models.parts import Part
from radiofix.objectives.mixture import Mixture, share
from radiofix.objectives.objective import Prepared
from radiofix.objectives.placing import Placing
from radiofix.objectives.simulated import Simulated
from radiofix.training.batches import PretrainBatches, warn_of_aliases
from radiofix.training.checkpoints import LAST, RunFolder, provenance
from radiofix.training.encoding import Pretraining, build
from radiofix.training.localizing import pretrained
from radiofix.training.loop import Lesson, Loop, Outcome, Share
from radiofix.training.optimizer import group
from radiofix.training.pool import Pool, hold, open_pool
from radiofix.training.recipe import PretrainRecipe, plain
from radiofix.training.shipping import calibrate_on_worlds, ship
from radiofix.training.start import begin
from radiofix.training.users import (
    Choice,
    Everybody,
    Rows,
    some,
    station_columns,
    users_of,
    without,
)
from radiofix.types import Sounding, Truth

FITTED = 32
"""Batches that scales are taken from."""
CALIBRATED = 4096
"""Training users whose features a localizer without labels is calibrated on."""
LOOKS = 4
"""Links of each user for that, drawn anew."""
JUDGE_SEED = 20_250_101
"""Held-out users are seen through the same masks and noise at every validation."""


@dataclass(frozen=True)
class PreparedBatch:
    """What all objectives want of a whole batch."""

    prepared: Mapping[str, Prepared]
    users: Tensor
    samples: int

    def share(self, rank: int, processes: int) -> Share:
        """The rows of one process: equally many for each."""
        rows = self.samples // processes
        return Share(share(self.prepared, slice(rank * rows, (rank + 1) * rows)))


class PreparedBatches:
    """Views drawn from a store, prepared for a mixture."""

    def __init__(self, views: PretrainBatches, mixture: Mixture) -> None:
        self.views, self.mixture = views, mixture

    def draw(self, generator: torch.Generator) -> PreparedBatch:
        """The next batch; everything random about it is drawn here."""
        views = self.views.draw(generator)
        prepared = self.mixture.prepare(views, generator)
        return PreparedBatch(prepared, views.first.user, len(views.first))

    def state_dict(self) -> dict[str, Any]:
        """The place among the users."""
        return dict(self.views.epochs.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a place."""
        self.views.epochs.load_state_dict(state)


def lesson(recipe: PretrainRecipe, store: PathStore, fabric: Fabric) -> Lesson:
    """What pretraining trains, on what, and how it is judged."""
    module = build(recipe)
    if recipe.pretrained is not None:
        pretrained(recipe.pretrained).teach(module, recipe)
    columns = station_columns(store, recipe.stations)
    users = some(trained_on(recipe, store), recipe.users, recipe.seed)
    partner, batch = recipe.partner.build(), recipe.training.batch
    pool = open_pool(store, users, columns, fabric.device)
    warn_of_aliases(recipe.receiver, pool)
    place = _places(recipe, pool)
    batches = PretrainBatches(pool, recipe.receiver, batch, partner, place)
    module.to(fabric.device)
    fit(module, batches, recipe.seed)
    judged = _held_out(recipe, store, fabric.device)
    seen = _places(recipe, judged)
    # The contrast is the harder the more users there are, so that batches stay the same size.
    together = min(batch, len(judged.reachable) // fabric.world_size * fabric.world_size)

    def judge(trained: nn.Module) -> Mapping[str, float]:
        assert isinstance(trained, Pretraining)
        views = PretrainBatches(judged, recipe.receiver, together, partner, seen)
        return _held_out_losses(trained, PreparedBatches(views, trained.mixture), fabric)

    return Lesson(
        module=module,
        groups=(group(module),),
        batches=PreparedBatches(batches, module.mixture),
        judge=judge,
        compiled=(module.encoder,),  # type: ignore[arg-type]  # an encoder that learns is a module
    )


def pretrain(
    fabric: Fabric,
    recipe: PretrainRecipe,
    folder: RunFolder,
    resume: bool = False,
    seconds: float = math.inf,
    quiet: bool = True,
) -> Outcome:
    """Runs a recipe in its folder; once it is finished, its weights and facts are there too."""
    if recipe.store is None:
        raise ValueError("no store is given: name it by --store or store: in the recipe")
    store = open_paths(recipe.store)
    loop = Loop(fabric, lesson(recipe, store, fabric), recipe.training, folder, recipe.seed)
    if fabric.is_global_zero:
        begin(folder, recipe)
    if resume and folder.has(LAST):
        loop.resume()
    outcome = loop.run(seconds, quiet)
    if outcome.finished and fabric.is_global_zero:
        module = loop.take_best()
        config = {
            "kind": "pretrain",
            "recipe": plain(recipe),
            **provenance(store, recipe.seed, fabric.device),
            "figures": outcome.figures,
        }
        folder.finish(module.state_dict(), config)
        assert isinstance(module, Pretraining)
        ship_pretrained(folder, module, recipe, store, config)
    return outcome


def ship_pretrained(
    folder: RunFolder,
    module: Pretraining,
    recipe: PretrainRecipe,
    store: PathStore,
    config: Mapping[str, Any],
) -> None:
    """Leaves a localizer that needs no label, if an objective has taught one."""
    for name, objective in module.mixture.objectives.items():
        if isinstance(objective, Placing):
            localizer = Localizer(module.encoder, objective.head)
            if isinstance(objective, Simulated):
                calibrate_on_worlds(localizer, objective)
            else:
                localizer.calibrate(*_witnessed_links(recipe, store))
            head = Part(**recipe.objectives[name].init_args["head"])
            facts = {**config, "trained_by": "pretrain"}
            ship(folder.path, localizer, recipe.encoder, head, facts)
            return


def trained_on(recipe: PretrainRecipe, store: PathStore) -> Rows:
    """Rows of all users that a recipe allows itself."""
    return without(store, users_of(store, recipe.split, recipe.parts), recipe.leave_out)


def _held_out(recipe: PretrainRecipe, store: PathStore, device: torch.device | str) -> Pool:
    columns = station_columns(store, recipe.stations)
    choice = Choice(store, recipe.split, columns, Everybody())
    users = choice.held_out("validation", recipe.validation_users, recipe.seed)
    return hold(store, users, columns, device)


def _places(recipe: PretrainRecipe, pool: Pool) -> Tensor | None:
    witnesses = recipe.witnesses
    return None if witnesses is None else witnesses.places(pool, recipe.receiver, recipe.seed)


def _witnessed_links(
    recipe: PretrainRecipe, store: PathStore
) -> tuple[list[Sounding], list[tuple[Sounding, Truth]]]:
    """Links of training users, and of held-out ones with the place that witnesses give them."""
    few = some(trained_on(recipe, store), CALIBRATED, recipe.seed)
    training = hold(store, few, station_columns(store, recipe.stations))
    held_out = _held_out(recipe, store, "cpu")
    known = [sounding for sounding, _ in _seen_links(recipe, training)]
    return known, _seen_links(recipe, held_out)


def _seen_links(recipe: PretrainRecipe, pool: Pool) -> list[tuple[Sounding, Truth]]:
    generator = torch.Generator().manual_seed(JUDGE_SEED)
    together = min(recipe.training.batch, len(pool.reachable))
    batches = PretrainBatches(pool, recipe.receiver, together, place=_places(recipe, pool))
    links = []
    for _ in range(LOOKS * len(pool.reachable) // together):
        views = batches.draw(generator)
        assert views.place is not None
        known = views.place.isfinite().all(-1)
        links.append((views.first[known], Truth(views.place[known], known[known])))
    return links


@torch.no_grad()
def fit(module: Pretraining, batches: PretrainBatches, seed: int) -> None:
    """Takes all scales from training users, then goes back to the beginning."""
    place = batches.epochs.state_dict()
    generator = torch.Generator(batches.pool.reachable.device).manual_seed(seed)
    views = [batches.draw(generator) for _ in range(FITTED)]
    module.mixture.fit(views)
    meet(module.encoder, (view.first for view in views))
    batches.epochs.load_state_dict(place)


def _held_out_losses(
    trained: Pretraining, batches: PreparedBatches, fabric: Fabric
) -> dict[str, float]:
    generator = torch.Generator(fabric.device).manual_seed(JUDGE_SEED)
    losses: dict[str, Tensor] = {}
    rows = []
    for _ in range(len(batches.views.pool.reachable) // batches.views.epochs.batch):
        batch = batches.draw(generator)
        losses = trained(batch.share(fabric.global_rank, fabric.world_size))
        rows.append(torch.stack([value.float() for value in losses.values()]))
    means = fabric.all_reduce(torch.stack(rows).mean(0), reduce_op="mean")
    assert isinstance(means, Tensor)
    return dict(zip(losses, means.tolist(), strict=True))
