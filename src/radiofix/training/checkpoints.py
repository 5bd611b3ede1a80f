"""The folder of a run: checkpoints whole or not at all, and the weights and facts at its end."""

from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from radiofix.data.store import PathStore
from radiofix.files import write_whole
from radiofix.training.launch import bfloat16_pays
from radiofix.version import __version__

LAST, BEST = "last.pt", "best.pt"
WEIGHTS, CONFIG = "model.safetensors", "config.json"


class RunFolder:
    """Where one run keeps its checkpoints, logs and results."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint of tensors, numbers and texts."""
        content = io.BytesIO()
        torch.save(dict(state), content)
        write_whole(self.path / name, content.getvalue())

    def load(self, name: str) -> dict[str, Any]:
        """Reads a checkpoint; nothing in it is ever run."""
        path = self.path / name
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist: the run has no checkpoint yet") from None
        except Exception as error:  # whatever torch raises on a damaged or foreign file
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{path} is no checkpoint of radiofix: {reason}") from error
        return dict(state)

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.path / name).is_file()

    def finish(self, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        """Writes the final weights and what is to be known of them."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        write_whole(self.path / WEIGHTS, save(tensors))
        self.write_json(CONFIG, config)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file."""
        text = json.dumps(content, indent=1) + "\n"
        write_whole(self.path / name, text)

    def weights(self) -> dict[str, Tensor]:
        """The final weights."""
        return load_file(self._finished(WEIGHTS))

    def config(self) -> dict[str, Any]:
        """What is to be known of them."""
        return dict(json.loads(self._finished(CONFIG).read_text()))

    def _finished(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise ValueError(f"{self.path} is no finished run: no {name} in it")
        return path


def provenance(store: PathStore | None, seed: int, device: torch.device) -> dict[str, Any]:
    """Which data, which seed, which versions, which machine."""
    cuda = device.type == "cuda"
    return {
        "store": None if store is None else _identity(store),
        "seed": seed,
        "versions": {
            "radiofix": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(device) if cuda else str(device),
            "bfloat16": bfloat16_pays(device.type),
        },
    }


def _identity(store: PathStore) -> dict[str, Any]:
    attributes = store.attributes
    return {
        "name": store.path.name,
        "scenario": attributes.get("scenario"),
        "sha256": attributes.get("sha256"),
    }
