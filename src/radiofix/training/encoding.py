"""What is pretrained: an encoder and the objectives it is trained for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radiofix.models.latent import Encoder
from radiofix.objectives.mixture import Mixture
from radiofix.objectives.placing import Placing
from radiofix.training.loop import Share
from radiofix.training.recipe import PretrainRecipe


class Pretraining(nn.Module):
    """An encoder and the objectives it is trained for."""

    def __init__(self, encoder: Encoder, mixture: Mixture) -> None:
        super().__init__()
        self.encoder = encoder
        self.mixture = mixture

    def forward(self, work: Share) -> dict[str, Tensor]:
        """The total loss, and each objective's."""
        total, losses = self.mixture(self.encoder, work.contents)
        return {"loss": total, **losses}

    def begins(self) -> set[str]:
        """Keys of the weights that training can begin with: the encoder's and a placing head's."""
        objectives = self.mixture.objectives.items()
        heads = [f"mixture.objectives.{n}." for n, o in objectives if isinstance(o, Placing)]
        return {key for key in self.state_dict() if key.startswith(("encoder.", *heads))}


def build(recipe: PretrainRecipe) -> Pretraining:
    """The module of a recipe, its weights drawn by the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        encoder = recipe.encoder.build()
        given = {"encoder": encoder, "steps": recipe.training.steps}
        objectives = {name: part.build(**given) for name, part in recipe.objectives.items()}
        weights = dict(recipe.weights)
        return Pretraining(encoder, recipe.mixture.build(objectives=objectives, weights=weights))
