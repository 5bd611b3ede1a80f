"""Prompt tuning: the backbone as an adaptation leaves it, what tells of the map learns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import nn

from radiofix.data.store import PathStore, open_paths
from radiofix.models.latent import Encoder
from radiofix.models.map_reading import read_map
from radiofix.models.parts import Part
from radiofix.models.prompted import PromptedEncoder, Told
from radiofix.models.site_map import CarriedMap, give_map
from radiofix.training.adaptation import Adaptation, FrozenEncoder
from radiofix.training.optimizer import Group, group
from radiofix.training.recipe import FinetuneRecipe

PROMPTED = "radiofix.models.prompted.PromptedParts"


@dataclass(frozen=True)
class PromptTuning(Adaptation):
    """What tells of the map learns; the backbone is adapted as it would be without it."""

    backbone: Adaptation = field(default_factory=FrozenEncoder)
    factor: float = 1.0
    """Of the run's rate, for what tells of the map."""

    def adapt(self, encoder: nn.Module) -> tuple[Group, ...]:
        """The backbone's groups, and one of the prompts."""
        told = _told(encoder)
        return (*self.backbone.adapt(told.encoder), group(told.teller, self.factor))

    def settle(self, encoder: nn.Module) -> None:
        """Settles the backbone."""
        self.backbone.settle(_told(encoder).encoder)


def prompted(encoder: Encoder, prompter: Part) -> PromptedEncoder:
    """An encoder, pretrained or new, that is told of a map by a new prompter."""
    teller = prompter.build(dim=encoder.dim)
    return PromptedEncoder(encoder, teller)  # type: ignore[arg-type]  # refuses what takes none


def named(recipe: FinetuneRecipe) -> FinetuneRecipe:
    """The recipe whose encoder is the prompted one: what a finished run is made again from."""
    if recipe.prompter is None or recipe.encoder is None:
        return recipe
    parts = {"encoder": recipe.encoder.plain, "prompter": recipe.prompter.plain}
    return replace(recipe, encoder=Part(PROMPTED, parts), prompter=None)


def tell_map(module: nn.Module, recipe: FinetuneRecipe, store: PathStore) -> None:
    """Gives what carries a map the one that the recipe names, by default the store's own."""
    if any(isinstance(part, CarriedMap) for part in module.modules()):
        mapped = store if recipe.map is None else open_paths(recipe.map)
        give_map(module, read_map(mapped, store))
    elif recipe.map is not None:
        raise ValueError(
            f"map={recipe.map} is told to nobody: give the recipe a head or a prompter "
            "that reads it, radiofix.models.echo_head.EchoHead or radiofix.models.wall_prompt"
        )


def _told(encoder: nn.Module) -> Told:
    if not isinstance(encoder, Told):
        raise ValueError(
            f"{type(encoder).__name__} has no prompts to tune: wrap it in a PromptedEncoder"
        )
    return encoder
