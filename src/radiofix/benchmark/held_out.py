"""A pretraining run asked about users that it has never seen."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor
from torch.nn import functional as F

from radiofix.classic.nomp import Nomp
from radiofix.data.store import PathStore
from radiofix.models.latent import Encoder
from radiofix.objectives.dti import Dti, SuperResolution
from radiofix.objectives.extrapolation import baselines
from radiofix.objectives.objective import Objective, Views
from radiofix.objectives.picl import Picl, bound, nt_xent
from radiofix.objectives.sfmcm import Sfmcm, hidden_nmse
from radiofix.physics.strongest import Wave, steering
from radiofix.training.batches import OtherStation, Partner, PretrainBatches
from radiofix.training.checkpoints import CONFIG, LAST, RunFolder
from radiofix.training.encoding import Pretraining, build
from radiofix.training.logs import JUDGED
from radiofix.training.pool import HeldPool
from radiofix.training.pretrain import JUDGE_SEED
from radiofix.training.recipe import PretrainRecipe, read_recipe
from radiofix.training.start import RECIPE
from radiofix.training.users import Choice, Everybody, station_columns
from radiofix.types import Sounding

TOGETHER = 128
"""Links that are encoded at a time."""
TEST, VALIDATION = "test", "validation"
"""Parts of the split: users who had no part in the training, and those who watched over it."""
WHOLE = "whole"

Taught = TypeVar("Taught", bound=Objective)


@dataclass(frozen=True)
class Trained:
    """A pretraining run, finished or as far as its last checkpoint goes."""

    module: Pretraining
    recipe: PretrainRecipe
    folder: RunFolder
    step: int
    finished: bool

    def objective(self, kind: type[Taught]) -> Taught:
        """The one of a kind; a `ValueError` where the run had none."""
        for objective in self.module.mixture.objectives.values():
            if isinstance(objective, kind):
                return objective
        raise ValueError(
            f"{self.folder.path} was not trained for {kind.__name__}: take one that was"
        )

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """Which dimensions of the latent each objective worked on, and all of them."""
        own = {
            name: objective.part
            for name, objective in self.module.mixture.objectives.items()
            if isinstance(objective, Sfmcm | Dti | Picl | SuperResolution)
        }
        return {**own, WHOLE: (0, self.module.encoder.dim)}


@dataclass(frozen=True)
class HeldOut:
    """A run, and the held-out users that it is asked about."""

    run: Trained
    store: PathStore
    users: int = 1024
    """At most."""
    part: str = TEST
    """Of the run's split."""

    def views(
        self, batch: int, bandwidths: Sequence[float], partner: Partner | None = None
    ) -> Iterator[tuple[Views, torch.Generator]]:
        """Views of all the users in batches of one size, always the same; a rest is left out."""
        recipe = self.run.recipe
        receiver = replace(recipe.receiver, bandwidths=tuple(bandwidths))
        drawn = PretrainBatches(self.pool, receiver, batch, partner or recipe.partner.build())
        generator = torch.Generator().manual_seed(JUDGE_SEED)
        for _ in range(len(self.pool.reachable) // batch):
            yield drawn.draw(generator), generator

    @cached_property
    def pool(self) -> HeldPool:
        """Their links to the stations of the run."""
        recipe = self.run.recipe
        columns = station_columns(self.store, recipe.stations)
        choice = Choice(self.store, recipe.split, columns, Everybody())
        return HeldPool(self.store, choice.held_out(self.part, self.users, recipe.seed), columns)


@dataclass(frozen=True)
class Reconstruction:
    """Channels with hidden entries, and what masked modelling makes of them.

    All as the encoder sees channels: on its scale, from its strongest wave.
    """

    truth: Complex[Tensor, "link antenna subcarrier"]
    found: Complex[Tensor, "link antenna subcarrier"]
    visible: Bool[Tensor, "link antenna subcarrier"]
    hidden: Bool[Tensor, "link antenna subcarrier"]
    sounding: Sounding
    """What was visible, as it was received."""
    channel: Complex[Tensor, "link antenna subcarrier"]
    """The truth as it was received."""

    @property
    def nmse(self) -> dict[str, Float[Tensor, " link"]]:
        """Over the hidden entries: of the model, of simple guesses, and of a good estimator."""
        return {
            "model": hidden_nmse(self.found, self.truth, self.hidden),
            **baselines(self.truth, self.visible, self.hidden),
            "NOMP": hidden_nmse(continued(self.sounding), self.channel, self.hidden),
        }


@dataclass(frozen=True)
class Transformed:
    """Delay-angle views of channels, and what domain transformation makes of the channels."""

    truth: Complex[Tensor, "link angle delay"]
    found: Complex[Tensor, "link angle delay"]
    sounding: Sounding


def opened(path: Path) -> Trained:
    """The run in a folder: its final weights, or those of its last checkpoint."""
    folder = RunFolder(path)
    if not folder.has(RECIPE):
        raise ValueError(f"{path} is no pretraining run: no {RECIPE} in it")
    content = json.loads((path / RECIPE).read_text())
    if "objectives" not in content:
        raise ValueError(f"{path} is no pretraining run: give the folder of one")
    recipe = read_recipe(PretrainRecipe, content, str(path))
    module = build(recipe)
    if folder.has(CONFIG):
        weights, step = folder.weights(), int(folder.config()["figures"]["best_step"])
    else:
        state = folder.load(LAST)
        weights, step = state["module"], int(state["progress"]["step"])
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not fit its own recipe: {reason}") from error
    return Trained(module.eval(), recipe, folder, step, folder.has(CONFIG))


def curves(run: Trained) -> dict[str, list[float]]:
    """Every loss on held-out users against the samples seen, and Theorem 2's bound [nat].

    The contrast runs over the views of all other users of a batch, two a user. Its sum holds
    eq. 5's over one view a user, hence is no smaller, so that log N - L holds with N the users.
    """
    path = run.folder.path / JUDGED
    if not path.is_file():
        raise ValueError(f"{path} does not exist: the run was not validated yet")
    with path.open(newline="") as lines:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]
    found = {name: [row[name] for row in rows] for name in rows[0] if name != "step"}
    batch = run.recipe.training.batch
    found["samples"] = [row["step"] * batch for row in rows]
    for name, objective in run.module.mixture.objectives.items():
        if isinstance(objective, Picl):
            found["bound"] = [bound(loss, batch) for loss in found[name]]
    return found


@torch.no_grad()
def reconstruct(run: Trained, views: Views, generator: torch.Generator) -> Reconstruction:
    """Hides entries as in training and lets the model fill them in."""
    objective = run.objective(Sfmcm)
    prepared = objective.prepare(views, generator)
    (sounding,), (_, hidden) = prepared.soundings, prepared.targets
    found, truth = objective.rebuilt(run.module.encoder(sounding), prepared)
    return Reconstruction(
        truth=truth,
        found=found,
        visible=sounding.csi != 0,
        hidden=hidden,
        sounding=sounding,
        channel=views.first.csi,
    )


def continued(sounding: Sounding) -> Complex[Tensor, "link antenna subcarrier"]:
    """The waves that NOMP finds in what was observed, over all antennas and subcarriers."""
    found = Nomp()(sounding)
    csi = torch.zeros_like(sounding.csi)
    for delay, direction, gain in zip(found.delay.T, found.direction.T, found.gain.T, strict=True):
        wave = Wave(delay, direction, gain)
        csi = csi + gain[:, None, None] * steering(wave, sounding.frequency, sounding.antenna)
    return csi


@torch.no_grad()
def transform(run: Trained, views: Views, generator: torch.Generator) -> Transformed:
    """Delay-angle views, true and as the model tells them."""
    objective = run.objective(Dti)
    prepared = objective.prepare(views, generator)
    (sounding,) = prepared.soundings
    found, truth = objective.transformed(run.module.encoder(sounding), prepared)
    return Transformed(truth, found, sounding)


def typical(values: Float[Tensor, " link"], shares: Sequence[float]) -> list[int]:
    """The links whose values are at these quantiles: examples that nobody has picked by eye."""
    order = values.argsort()
    return [int(order[round(share * (len(values) - 1))]) for share in shares]


def hidden_errors(asked: HeldOut) -> list[dict[str, Any]]:
    """Mean hidden NMSE by bandwidth, of the model and of simple guesses."""
    rows = []
    for bandwidth in asked.run.recipe.receiver.bandwidths:
        together: dict[str, list[Tensor]] = {}
        for views, generator in asked.views(min(TOGETHER, len(asked.pool.reachable)), [bandwidth]):
            for name, nmse in reconstruct(asked.run, views, generator).nmse.items():
                together.setdefault(name, []).append(nmse)
        each = {name: torch.cat(found) for name, found in together.items()}
        means = {name: float(found.mean()) for name, found in each.items()}
        medians = {name: float(found.median()) for name, found in each.items()}
        links = len(each["model"])
        rows.append({"bandwidth": bandwidth, "links": links, "mean": means, "median": medians})
    return rows


@torch.no_grad()
def contrasts(asked: HeldOut, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Eq. 5 as printed, among so many users, with the bound of eq. 6 [nat]; eq. 13 beside it."""
    run = asked.run
    partners: dict[str, Partner] = {
        "as trained": run.recipe.partner.build(),
        "another station": OtherStation(),
    }
    rows = []
    for name, partner in partners.items():
        for size in (size for size in sizes if size <= len(asked.pool.reachable)):
            losses = [
                _contrast(run.objective(Picl), run.module.encoder, views)
                for views, _ in asked.views(size, run.recipe.receiver.bandwidths, partner)
            ]
            plainly, doubly = torch.tensor(losses, dtype=torch.float64).mean(0).tolist()
            rows.append(
                {
                    "partner": name,
                    "users": size,
                    "info_nce": plainly,
                    "nt_xent": doubly,
                    "most": math.log(size),
                    "bound": bound(plainly, size),
                }
            )
    return rows


def info_nce(
    first: Float[Tensor, "link embedding"],
    second: Float[Tensor, "link embedding"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Eq. 5: each first view among the second views of all."""
    logits = F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(first), device=first.device))


def _contrast(objective: Picl, encoder: Encoder, views: Views) -> tuple[float, float]:
    first, second = (
        torch.cat(
            [
                objective.decoder(encoder(part).part(*objective.part), part)
                for part in _pieces(sounding)
            ]
        )
        for sounding in (views.first, views.second)
    )
    temperature = objective.temperature
    doubly = nt_xent(first, second, views.first.user, temperature)
    return float(info_nce(first, second, temperature)), float(doubly)


def _pieces(sounding: Sounding) -> list[Sounding]:
    starts = range(0, len(sounding), TOGETHER)
    return [sounding[start : start + TOGETHER] for start in starts]
