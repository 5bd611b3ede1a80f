"""Networks: from scratch, or pretrained without labels and fine-tuned."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from radiofix.benchmark.lwlm.answers import Answer
from radiofix.benchmark.lwlm.learned import Learned, held_out_links
from radiofix.benchmark.lwlm.lessons import Lesson, Trial
from radiofix.benchmark.lwlm.outcomes import Cost, Run
from radiofix.benchmark.lwlm.recipes import LEFT_OUT, InLesson, changed, teaching, with_stations
from radiofix.benchmark.lwlm.scales import Scale
from radiofix.benchmark.lwlm.site import Site
from radiofix.data.store import open_paths
from radiofix.models.heads import Estimate, StationHead
from radiofix.training.checkpoints import LAST, WEIGHTS, RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.localizing import Finetuning, finetuned, fingerprint
from radiofix.training.pretrain import pretrain
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, read_recipe
from radiofix.training.users import station_columns
from radiofix.types import Sounding


@dataclass(frozen=True)
class Start:
    """What fine-tuning begins with."""

    recipe: str | None = None
    """Of a pretraining run that the bench makes."""
    ready: str | None = None
    """A run's folder or a localizer's name, there already."""

    def place(self, method: str, site: Site) -> str | None:
        """The folder or name to go on from; None: from scratch."""
        return self.ready if self.recipe is None else str(site.pretraining(method))


@dataclass(frozen=True)
class Network:
    """An encoder with a head for each question."""

    name: str
    family: str
    recipes: Mapping[str, str]
    """Of fine-tuning, by the question's name."""
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Heads, for questions that have no recipe of their own: that of the position is changed."""
    start: Start = field(default_factory=Start)

    def lacks(self, site: Site) -> str | None:
        """Recipes that are not there, or a pretraining run that did not end."""
        names = [*self.recipes.values(), *([self.start.recipe] if self.start.recipe else [])]
        missing = sorted({name for name in names if not (site.recipes / name).is_file()})
        return f"no recipe {', '.join(missing)}" if missing else None

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """The lesson as it is."""
        return lesson

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """All."""
        return seeds

    def rates(self, rates: Sequence[float]) -> Sequence[float | None]:
        """All."""
        return rates

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Anything; one with planes for its stations says itself what it cannot."""
        return True

    def most(self, scale: Scale) -> int:
        """All."""
        return scale.test_users

    def pretrained(self, site: Site) -> bool:
        """Whether there is nothing to wait for."""
        return self.start.recipe is None or (site.pretraining(self.name) / WEIGHTS).is_file()

    def fingerprint(self, site: Site) -> str | None:
        """SHA-256 of the weights that fine-tuning begins with; None: from scratch."""
        place = self.start.place(self.name, site)
        return None if place is None else fingerprint(place)

    def pretrain(self, site: Site) -> None:
        """Makes the run that fine-tuning begins with, or goes on with it."""
        assert self.start.recipe is not None
        content = site.recipe(self.start.recipe)
        content = changed(content, site.scale.sizes.get(self.family, {}))
        content["training"] = {**content["training"], **site.scale.pretraining}
        content["leave_out"] = LEFT_OUT
        content["store"] = site.stores["o1"]
        content["validation_users"] = site.scale.validation_users
        recipe = read_recipe(PretrainRecipe, content, self.start.recipe)
        folder = RunFolder(site.pretraining(self.name))
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        fabric = single(recipe.training, site.device)
        pretrain(fabric, recipe, folder, resume=folder.has(LAST))

    def recipe(self, run: Run, site: Site) -> FinetuneRecipe:
        """Of a run's fine-tuning."""
        question, lesson = run.lesson.question, run.lesson
        name = self.recipes.get(question.name, self.recipes["position"])
        content = site.recipe(name)
        if question.name in self.heads:
            content["head"] = self.heads[question.name]
        content["task"] = {"class_path": question.task}
        content = changed(content, site.scale.sizes.get(self.family, {}))
        assert run.rate is not None
        content = teaching(
            content, lesson, site.scale, site.store(lesson.users), run.seed, run.rate
        )
        content = with_stations(content, _columns(lesson, site))
        content["from"] = self.start.place(self.name, site)
        recipe = read_recipe(FinetuneRecipe, content, name)
        return replace(recipe, receiver=InLesson(recipe.receiver, lesson))

    def learn(self, run: Run, site: Site) -> Learned:
        """Fine-tunes in a folder that is gone afterwards."""
        recipe = self.recipe(run, site)
        site.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=site.work) as folder:
            place = RunFolder(Path(folder) / "run")
            outcome = finetune(single(recipe.training, site.device), recipe, place)
            module = finetuned(place.path)[0].to(site.device)
        (first, _), *_ = held_out_links(run, Trial(run.lesson.stations), site, "validation")
        # All links of one user, so that an encoder of several stations sees what it needs.
        one = first[first.user == first.user[0]]
        validation = outcome.figures["validation_mean"]
        return Learned(
            answer=answering(module),
            validation=validation if math.isfinite(validation) else None,
            cost=cost(module.localizer, one),
            start=self.fingerprint(site),
        )


def _columns(lesson: Lesson, site: Site) -> list[int]:
    return station_columns(open_paths(site.store(lesson.users)), lesson.stations)


def answering(module: Finetuning) -> Answer:
    """What a fine-tuned network says; where its head gives positions, with a covariance."""
    localizer = module.localizer
    if not isinstance(localizer.head, StationHead):
        return localizer

    def answer(sounding: Sounding) -> Estimate:
        fix = localizer.fix(sounding)
        return Estimate(fix.position, torch.linalg.cholesky(fix.covariance[:, :2, :2]))

    return answer


@torch.no_grad()
def cost(network: nn.Module, links: Sounding) -> Cost:
    """Parameters, and the work of a user's links."""
    with FlopCounterMode(display=False) as counter:
        network(links)
    return Cost(sum(p.numel() for p in network.parameters()), counter.get_total_flops())
