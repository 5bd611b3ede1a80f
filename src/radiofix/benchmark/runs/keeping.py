"""Networks that runs begin with, kept beside their results: another machine goes on from them."""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from radiofix.files import write_whole
from radiofix.models import pretrained as shelf
from radiofix.models.site_map import forget_map
from radiofix.training.checkpoints import CONFIG, WEIGHTS, RunFolder
from radiofix.training.encoding import build
from radiofix.training.recipe import PretrainRecipe, read_recipe
from radiofix.training.shipping import without_way


def keep(run: Path, place: Path) -> None:
    """Keeps a finished run's network: parameters at half precision, no map, no checkpoints.

    Of pretraining the encoder and a head that places; what it was trained against is left out.

    Args:
        run: folder of pretraining or of fine-tuning.
        place: folder to be; whoever begins with it loads it as the run itself.
    """
    folder = RunFolder(run)
    if folder.config().get("kind") == "pretrain":
        config = folder.config()
        # Reading a recipe makes parts of its names.
        trained = build(read_recipe(PretrainRecipe, folder.config()["recipe"], str(run)))
        trained.load_state_dict(folder.weights())
        tensors = _half(trained, trained.begins())
    else:
        localizer, config = shelf.load(run), dict(shelf.describe(run))
        forget_map(localizer)
        tensors = _half(localizer, set(localizer.state_dict()))
        place = place / shelf.FOLDER
    place.mkdir(parents=True, exist_ok=True)
    write_whole(place / WEIGHTS, save(tensors))
    recipe = {key: without_way(key, value) for key, value in config["recipe"].items()}
    write_whole(place / CONFIG, json.dumps({**config, "recipe": recipe}, indent=1) + "\n")


def is_kept(place: Path) -> bool:
    """Whether a network was kept there."""
    return any((folder / CONFIG).is_file() for folder in (place, place / shelf.FOLDER))


def _half(module: nn.Module, wanted: Set[str]) -> dict[str, Tensor]:
    """What is wanted of it, what was learnt at half precision; scales and calibration stay."""
    learnt = {name for name, _ in module.named_parameters()}
    return {
        name: (tensor.half() if name in learnt and tensor.dtype == torch.float32 else tensor)
        .detach()
        .cpu()
        .contiguous()
        for name, tensor in module.state_dict().items()
        if name in wanted
    }
