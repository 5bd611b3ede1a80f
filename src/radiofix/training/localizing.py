"""What is fine-tuned: an encoder, pretrained or new, with a head and a task."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from radiofix.models import pretrained as shelf
from radiofix.models.heads import AskingHead, ImpliedHead
from radiofix.models.latent import Encoder
from radiofix.models.localizer import Localizer
from radiofix.models.parts import Part
from radiofix.objectives.placing import Placing
from radiofix.objectives.tasks import Task
from radiofix.training.checkpoints import CONFIG, RunFolder
from radiofix.training.encoding import Pretraining, build
from radiofix.training.loop import Share
from radiofix.training.prompting import prompted
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, read_recipe


class Finetuning(nn.Module):
    """A localizer and the task it is trained for."""

    def __init__(self, localizer: Localizer, task: Task) -> None:
        super().__init__()
        self.localizer = localizer
        self.task = task

    def forward(self, work: Share) -> dict[str, Tensor]:
        """The mean loss over the links of all processes, once their gradients are averaged.

        Over users, where the links of each are one answer.
        """
        sounding, truth, counts, weight = work.contents
        loss = self.task.loss(self.localizer(sounding), sounding, truth)
        each = loss if counts is None else loss * counts
        return {"loss": each.sum().float() * weight}

    def train(self, mode: bool = True) -> Finetuning:
        """A frozen encoder drops nothing out."""
        super().train(mode)
        encoder = self.localizer.encoder
        if isinstance(encoder, nn.Module) and not any(
            p.requires_grad for p in encoder.parameters()
        ):
            encoder.eval()
        return self


@dataclass(frozen=True)
class Start:
    """What fine-tuning begins with, and what a recipe must name to make it again."""

    encoder: Encoder
    encoder_part: Part
    head: nn.Module | None = None
    head_part: Part | None = None

    def completed(self, recipe: FinetuneRecipe) -> FinetuneRecipe:
        """A recipe that names what was taken from here."""
        head = self.head_part if self.has_head(recipe.head) else recipe.head
        return replace(recipe, encoder=self.encoder_part, head=head)

    def teach(self, module: Pretraining, recipe: PretrainRecipe) -> None:
        """Gives its weights to a module that is to be pretrained further.

        The module may remember stations where this one does not: it begins with strangers.
        """
        if self.encoder_part not in (recipe.encoder, _forgetful(recipe.encoder)):
            raise ValueError(
                f"{recipe.pretrained} has another encoder than the recipe: "
                f"{self.encoder_part.plain} against {recipe.encoder.plain}"
            )
        assert isinstance(module.encoder, nn.Module)
        assert isinstance(self.encoder, nn.Module)
        strict = recipe.encoder == self.encoder_part
        module.encoder.load_state_dict(self.encoder.state_dict(), strict=strict)
        for objective in module.mixture.objectives.values():
            if isinstance(objective, Placing) and type(objective.head) is type(self.head):
                assert self.head is not None
                objective.head.load_state_dict(self.head.state_dict())

    def lend(self, head: nn.Module) -> None:
        """Gives the weights of its head to one that asks it, or that goes on where it ends."""
        if self._lends(head):
            assert isinstance(head, AskingHead)
            assert self.head is not None
            head.estimator.load_state_dict(self.head.state_dict())
        elif self.head is not None and isinstance(head, type(self.head)):
            head.load_state_dict(self.head.state_dict(), strict=False)

    def readies(self, head: nn.Module) -> bool:
        """Whether a head needs no label to answer: it is its own, or only asks its own."""
        return head is self.head or (isinstance(head, ImpliedHead) and self._lends(head))

    def _lends(self, head: nn.Module) -> bool:
        return isinstance(head, AskingHead) and type(head.estimator) is type(self.head)

    def has_head(self, wanted: Part | None) -> bool:
        """Whether it has a head of the wanted class; None: of any."""
        mine = self.head_part
        return mine is not None and (wanted is None or wanted.class_path == mine.class_path)


def _forgetful(encoder: Part) -> Part:
    """The same encoder without a memory of stations."""
    kept = {k: v for k, v in encoder.init_args.items() if k != "known_stations"}
    return Part(encoder.class_path, kept)


def pretrained(name: str) -> Start:
    """What training can begin with: a finished run's encoder and head, or those of a localizer.

    Args:
        name: folder of a run, or a localizer that comes with the package ("radiofix-nano").
    """
    folder = RunFolder(Path(name))
    if not folder.has(CONFIG) or folder.config().get("kind") != "pretrain":
        localizer, config = shelf.load(name), shelf.describe(name)
        parts = Part(**config["encoder"]), Part(**config["head"])
        return Start(localizer.encoder, parts[0], localizer.head, parts[1])
    recipe = read_recipe(PretrainRecipe, folder.config()["recipe"], name)
    module = build(recipe)
    _load(module, folder, module.begins())
    for key, objective in module.mixture.objectives.items():
        if isinstance(objective, Placing):
            head = Part(**recipe.objectives[key].init_args["head"])
            return Start(module.encoder, recipe.encoder, objective.head, head)
    return Start(module.encoder, recipe.encoder)


def fingerprint(name: str) -> str:
    """SHA-256 of the weights that training would begin with, a run's as those it has shipped."""
    start = pretrained(name)
    parts = [part for part in (start.encoder, start.head) if isinstance(part, nn.Module)]
    digest = hashlib.sha256()
    for key, tensor in (item for part in parts for item in sorted(part.state_dict().items())):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_localizer(recipe: FinetuneRecipe, start: Start | None = None) -> Finetuning:
    """The module of a recipe, its weights drawn by the recipe's seed where there is no start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if start is not None:
            encoder = start.encoder
        elif recipe.encoder is not None:
            encoder = recipe.encoder.build()
        else:
            raise ValueError("no encoder is given: name a pretrained run or an encoder")
        if recipe.prompter is not None:
            encoder = prompted(encoder, recipe.prompter)
        head: nn.Module
        if start is not None and start.head is not None and start.has_head(recipe.head):
            head = start.head
        elif recipe.head is not None:
            head = recipe.head.build(dim=encoder.dim)
            if start is not None:
                start.lend(head)
        else:
            raise ValueError("no head is given, and no pretrained run has one: name a head")
        return Finetuning(Localizer(encoder, head), recipe.task.build())


def finetuned(path: Path) -> tuple[Finetuning, FinetuneRecipe]:
    """The module of a finished fine-tuning run, and its recipe."""
    folder = RunFolder(path)
    config = folder.config()
    if config.get("kind") != "finetune":
        raise ValueError(f"{path} is no fine-tuning run: give the folder of one")
    recipe = read_recipe(FinetuneRecipe, config["recipe"], str(path))
    module = build_localizer(recipe)
    _load(module, folder, set(module.state_dict()))
    return module.eval(), recipe


def _load(module: nn.Module, folder: RunFolder, needed: Set[str]) -> None:
    """Weights of a run; of what is not needed, those that are there."""
    own = module.state_dict()
    weights = {key: own[key] for key in set(own) - needed} | folder.weights()
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder.path} does not fit its own recipe: {reason}") from error
