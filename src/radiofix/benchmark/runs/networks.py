"""Networks: from scratch, or pretrained without labels and fine-tuned."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from radiofix.benchmark.runs.answers import Answer
from radiofix.benchmark.runs.learned import Learned, held_out_links
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.outcomes import Cost, Run
from radiofix.benchmark.runs.preparing import Beginning, Preparation, Start, weights
from radiofix.benchmark.runs.questions import POSITION, QUESTIONS
from radiofix.benchmark.runs.recipes import InLesson, changed, teaching, with_stations
from radiofix.benchmark.runs.scales import Scale
from radiofix.benchmark.runs.site import Site
from radiofix.benchmark.runs.telling import map_of
from radiofix.models.fusing import Fusion
from radiofix.models.heads import Estimate, StationHead
from radiofix.models.site_map import give_map
from radiofix.training.checkpoints import RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.localizing import Finetuning, finetuned
from radiofix.training.loop import Outcome
from radiofix.training.recipe import FinetuneRecipe, read_recipe
from radiofix.types import Sounding

Changes = Callable[[Lesson, Site], Mapping[str, Any]]
"""What a method has in place of its recipe's own, for a lesson."""
Readied = Callable[[Finetuning, Lesson, Site], None]
"""What is done to a network that has learnt, before it is asked."""


def unchanged(lesson: Lesson, site: Site) -> Mapping[str, Any]:
    """Nothing."""
    return {}


def as_it_is(module: Finetuning, lesson: Lesson, site: Site) -> None:
    """Nothing."""


def nothing(site: Site) -> str | None:
    """Nothing is missing."""
    return None


@dataclass(frozen=True)
class Network:
    """An encoder with a head for each question."""

    name: str
    family: str
    recipes: Mapping[str, str]
    """Of fine-tuning, by the question's name."""
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Heads, for questions that have no recipe of their own: that of the position is changed."""
    start: Beginning = field(default_factory=Start)
    changes: Changes = unchanged
    joined: bool = False
    """Whether it learns and places each link by itself, a user's being joined as `locate` does."""
    placing: bool = False
    """Whether what it begins with places users before any label, and is asked then."""
    only: tuple[str, ...] = tuple(QUESTIONS)
    """Names of questions that it answers."""
    mapped: bool = False
    """Whether it is told of the map, so that it needs one."""
    readied: Readied = as_it_is
    tuned: bool = True
    """Whether its rate of learning is chosen by validation users."""
    frozen: bool = False
    """Whether its encoder stays as it begins, so that a new head learns alone, or with prompts."""
    rate_of: str | None = None
    """Another method, whose chosen rate it takes; None: its own."""
    missing: Callable[[Site], str | None] = nothing
    """What else it may lack, in a few words."""

    def lacks(self, site: Site) -> str | None:
        """Recipes that are not there, or a store to pretrain on."""
        before = [p for seed in site.scale.seeds for p in self.preparations(seed)]
        names = {*self.recipes.values(), *(preparation.recipe for preparation in before)}
        missing = sorted(name for name in names if not (site.recipes / name).is_file())
        if missing:
            return f"no recipe {', '.join(missing)}"
        reasons = [self.missing(site), *(p.lacks(site) for p in before)]
        return next((reason for reason in reasons if reason is not None), None)

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """The lesson as it is, where it has labels and a map if it needs them."""
        asked = lesson.question.name in self.only
        able = (lesson.labels or self.placing) and (lesson.users.mapped or not self.mapped)
        needed = lesson if self.mapped else replace(lesson, map_error=0.0)
        return needed if asked and able else None

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """All."""
        return seeds

    def rates(self, scale: Scale) -> Sequence[float | None]:
        """All, or the middle one."""
        rates = (scale.frozen_rates if self.frozen else ()) or scale.rates
        return rates if self.tuned else (rates[len(rates) // 2],)

    @property
    def anew(self) -> bool:
        """Whether its head begins with nothing, whatever its encoder knows."""
        return not self.placing

    def hears(self, lesson: Lesson, test: Trial) -> bool:
        """Anything; one with planes for its stations says itself what it cannot."""
        return True

    def most(self, scale: Scale) -> int:
        """All."""
        return scale.test_users

    def joins(self, lesson: Lesson) -> bool:
        """Whether several stations are asked about, and it knows of one at a time."""
        return self.joined and lesson.question.together

    def preparations(self, seed: int) -> tuple[Preparation, ...]:
        """What is made before its runs of a seed."""
        made = self.start.preparation(self.name, self.family, seed)
        return () if made is None else (made,)

    def pretrained(self, site: Site, seed: int = 0) -> bool:
        """Whether there is nothing to wait for."""
        return all(preparation.ready(site) for preparation in self.preparations(seed))

    def fingerprint(self, site: Site, seed: int = 0) -> str | None:
        """SHA-256 of the weights that fine-tuning begins with; None: from scratch."""
        return weights(self.start.place(self.name, site, seed))

    def recipe(self, run: Run, site: Site) -> FinetuneRecipe:
        """Of a run's fine-tuning."""
        lesson = run.lesson
        if self.joins(lesson):
            lesson = replace(lesson, question=POSITION)
        question = lesson.question
        name = self.recipes.get(question.name, self.recipes["position"])
        content = site.recipe(name)
        if question.name in self.heads:
            content["head"] = self.heads[question.name]
        content["task"] = {"class_path": question.task}
        content = changed(content, site.scale.sizes.get(self.family, {}))
        rate = self.rates(site.scale)[0] if run.rate is None else run.rate
        assert rate is not None
        content = teaching(
            content,
            lesson,
            site.scale,
            site.store(lesson.users),
            run.seed,
            rate,
            self.anew,
            site.agenda.partial,
        )
        content = with_stations(content, site.columns(lesson))
        content["from"] = self.start.place(self.name, site, run.seed)
        recipe = read_recipe(FinetuneRecipe, {**content, **self.changes(lesson, site)}, name)
        return replace(recipe, receiver=InLesson(recipe.receiver, lesson))

    def taught(self, run: Run, site: Site) -> tuple[Finetuning, Outcome]:
        """Fine-tunes in a folder that is gone afterwards; what that ended with beside."""
        recipe = self.recipe(run, site)
        site.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=site.work) as folder:
            place = RunFolder(Path(folder) / "run")
            outcome = finetune(single(recipe.training, site.device), recipe, place)
            # It learns no more, and the counter of operations cannot do with parameters that might.
            module = finetuned(place.path)[0].to(site.device).requires_grad_(False)
        if run.lesson.map_error:
            give_map(module, map_of(run, site))
        self.readied(module, run.lesson, site)
        return module, outcome

    def learn(self, run: Run, site: Site) -> Learned:
        """Fine-tunes, and is ready to answer."""
        start = self.fingerprint(site, run.seed)
        module, outcome = self.taught(run, site)
        validation = outcome.figures["validation_mean"]
        learnt = None if outcome.learns is None else outcome.learns.learnt
        (first, _), *_ = held_out_links(run, Trial(run.lesson.stations), site, "validation")
        # All links of one user, so that an encoder of several stations sees what it needs.
        one = first[first.user == first.user[0]]
        return Learned(
            answer=joining(module) if self.joins(run.lesson) else answering(module),
            validation=validation if math.isfinite(validation) else None,
            cost=replace(cost(module.localizer, one), learnt=learnt),
            start=start,
        )


def answering(module: Finetuning) -> Answer:
    """What a fine-tuned network says; where its head gives positions, with a covariance."""
    localizer = module.localizer
    if not isinstance(localizer.head, StationHead):
        return localizer

    def answer(sounding: Sounding) -> Estimate:
        fix = localizer.fix(sounding)
        return Estimate(fix.position, torch.linalg.cholesky(fix.covariance[:, :2, :2]))

    return answer


def joining(module: Finetuning) -> Answer:
    """The fixes of all links of a user joined, as `radiofix locate` does it."""

    def answer(sounding: Sounding) -> Estimate:
        users, row = torch.unique_consecutive(sounding.user, return_inverse=True)
        fix = module.localizer.fix(sounding)
        fused = Fusion().join(fix, row.cpu().numpy(), len(users))
        position = torch.from_numpy(fused.position).to(row.device)[row]
        return Estimate(position, logit=torch.zeros_like(position[:, 0]))

    return answer


@torch.no_grad()
def cost(network: nn.Module, links: Sounding) -> Cost:
    """Parameters, and the work of a user's links."""
    with FlopCounterMode(display=False) as counter:
        network(links)
    return Cost(sum(p.numel() for p in network.parameters()), counter.get_total_flops())
