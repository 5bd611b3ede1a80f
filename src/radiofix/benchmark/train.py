"""How fast a whole pretraining step is, beside the bare transformer layers in it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from lightning_fabric import Fabric
from torch import Tensor, nn

from radiofix.benchmark.channel import random_paths
from radiofix.models.blocks import Block
from radiofix.models.layers import DecoderLayer, EncoderLayer
from radiofix.training.batches import PretrainBatches
from radiofix.training.checkpoints import RunFolder
from radiofix.training.encoding import build
from radiofix.training.launch import fabric_of, precision_on
from radiofix.training.loop import Lesson, Loop
from radiofix.training.optimizer import group
from radiofix.training.pretrain import PreparedBatches, fit
from radiofix.training.recipe import PretrainRecipe
from radiofix.types import Paths

USERS, STATIONS, PATHS = 4096, 4, 5


class RandomPool:
    """Links at random in place of a store; for timing, not for physics."""

    def __init__(self, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self._paths = random_paths(USERS * STATIONS, PATHS, generator).to(device)
        self.reachable: Bool[Tensor, "user station"] = torch.ones(
            USERS, STATIONS, dtype=torch.bool, device=device
        )

    def order(self, generator: torch.Generator) -> Int[Tensor, " user"]:
        """A random permutation of the users."""
        return torch.randperm(USERS, generator=generator).to(self.reachable.device)

    def take(self, user: Int[Tensor, " link"], station: Int[Tensor, " link"]) -> Paths:
        """The links of users and stations."""
        return self._paths[user * STATIONS + station]


def measure(recipe: PretrainRecipe, repeats: int, device: str = "cpu") -> dict[str, Any]:
    """Times whole steps of a recipe and its bare layers in turn; medians over the repeats."""
    precision = precision_on(device.partition(":")[0], recipe.training.precision)
    fabric = fabric_of(device, 1, precision)
    fabric.launch()
    module = build(recipe).to(fabric.device)
    views = PretrainBatches(
        RandomPool(fabric.device), recipe.receiver, recipe.training.batch, recipe.partner.build()
    )
    fit(module, views, recipe.seed)
    batches = PreparedBatches(views, module.mixture)
    lesson = Lesson(module, (group(module),), batches, lambda _: {}, (module.encoder,))  # type: ignore[arg-type]  # an encoder that learns is a module
    loop = Loop(fabric, lesson, recipe.training, RunFolder(Path()), recipe.seed)
    bare = Bare(module, loop.step, fabric)
    generator = torch.Generator(fabric.device).manual_seed(0)
    times = _in_turn(
        {"step": loop.step, "bare": bare.run, "drawing": lambda: batches.draw(generator)},
        repeats,
        fabric.device,
    )
    seconds = {name: statistics.median(spent) for name, spent in times.items()}
    samples = recipe.training.batch
    return {
        "samples_per_s": samples / seconds["step"],
        "best_samples_per_s": samples / min(times["step"]),
        "bare_samples_per_s": samples / seconds["bare"],
        "best_bare_samples_per_s": samples / min(times["bare"]),
        "ratio": seconds["step"] / seconds["bare"],
        "step_s": seconds["step"],
        "bare_s": seconds["bare"],
        "drawing_s": seconds["drawing"],
        "repeats": repeats,
        "batch": samples,
        "layer_calls": len(bare.calls),
        "tokens": sum(shape[0] * shape[1] for _, shape in bare.calls),
        "parameters": sum(p.numel() for p in module.parameters()),
        "precision": precision,
        "compile": recipe.training.compile,
        "device": str(fabric.device)
        if fabric.device.type == "cpu"
        else torch.cuda.get_device_name(fabric.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


class Bare:
    """torch.nn's own transformer layers, of the sizes and on the tokens that a step has."""

    def __init__(self, module: nn.Module, step: Callable[[], object], fabric: Fabric) -> None:
        self.fabric = fabric
        self.calls: list[tuple[nn.Module, tuple[int, ...]]] = []
        bare: dict[int, nn.Module] = {}
        hooks = []
        for layer in module.modules():
            twin = stand_in(layer)
            if twin is not None:
                bare[id(layer)] = twin.to(fabric.device).train()
                hooks.append(layer.register_forward_hook(self._seen(bare[id(layer)])))
        step()
        for hook in hooks:
            hook.remove()
        if not self.calls:
            raise ValueError("the recipe's step goes through no transformer layer to compare with")

    def run(self) -> None:
        """Every layer that the step went through, forward, then all of them backward."""
        outputs = []
        with self.fabric.autocast():
            for layer, shape in self.calls:
                tokens = torch.ones(shape, device=self.fabric.device, requires_grad=True)
                decoder = isinstance(layer, nn.TransformerDecoderLayer)
                outputs.append(layer(tokens, tokens) if decoder else layer(tokens))
        total = torch.stack([output.float().mean() for output in outputs]).sum()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for layer, _ in self.calls:
            layer.zero_grad()

    def _seen(self, twin: nn.Module) -> Callable[..., None]:
        def note(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.calls.append((twin, tuple(inputs[0].shape)))

        return note


def stand_in(layer: nn.Module) -> nn.Module | None:
    """torch.nn's own layer of the same sizes; None where `layer` is no transformer layer."""
    for ours, torchs in (
        (EncoderLayer, nn.TransformerEncoderLayer),
        (DecoderLayer, nn.TransformerDecoderLayer),
    ):
        if isinstance(layer, ours):
            return torchs(
                layer.linear1.in_features,
                layer.self_attn.num_heads,
                layer.linear1.out_features,
                layer.dropout.p,
                batch_first=True,
            )
    if isinstance(layer, Block):
        return nn.TransformerEncoderLayer(
            layer.attention.out.in_features,
            layer.attention.heads,
            layer.network[0].out_features,  # type: ignore[arg-type]  # of a linear layer
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
    return None


def _in_turn(
    works: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each, timed one after the other so that a busy machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(time.perf_counter() - start)
    return {name: spent[1:] for name, spent in times.items()}
