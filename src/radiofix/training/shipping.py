"""What a run leaves for others: a localizer in a folder of its own, with a card to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes

from radiofix.files import write_whole
from radiofix.models.localizer import Localizer
from radiofix.models.parts import Part
from radiofix.models.pretrained import CARD, CONFIG, FOLDER, WEIGHTS
from radiofix.objectives.simulated import Simulated
from radiofix.types import Truth

WORLDS = 4096
"""Of each kind, that a localizer without labels is calibrated on."""
SEED = 20_250_102


def ship(
    run: Path, localizer: Localizer, encoder: Part, head: Part, facts: Mapping[str, Any]
) -> Path:
    """Writes a localizer into a run's folder, weights first, so that what has a config is whole."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    weights = {k: v.detach().cpu().contiguous() for k, v in localizer.state_dict().items()}
    recipe = {k: without_way(k, v) for k, v in facts.get("recipe", {}).items()}
    config = {
        **facts,
        "recipe": recipe,
        "kind": "localizer",
        "encoder": encoder.plain,
        "head": head.plain,
    }
    write_whole(folder / WEIGHTS, to_bytes(weights))
    write_whole(folder / CARD, card(localizer, config))
    write_whole(folder / CONFIG, json.dumps(config, indent=1) + "\n")
    return folder


def without_way(key: str, value: Any) -> Any:
    """Where things lay on the machine that trained is nobody's business."""
    lay = key in ("store", "pretrained", "map") and value is not None
    return Path(value).name if lay else value


@torch.no_grad()
def calibrate_on_worlds(localizer: Localizer, simulated: Simulated) -> None:
    """Makes uncertainty honest on the worlds that a model was trained in: no label is needed."""
    generator = torch.Generator().manual_seed(SEED)
    known = [simulated.draw(512, generator)[0] for _ in range(WORLDS // 512)]
    held_out = []
    for _ in range(WORLDS // 512):
        sounding, position = simulated.draw(512, generator)
        # In worlds heights count from the station's; the head's own height is of no station.
        seen = torch.ones(len(position), dtype=torch.bool)
        held_out.append((sounding, Truth(position, seen)))
    localizer.calibrate(known, held_out)
    localizer.calibration.height_deviation.fill_(1.0)


def card(localizer: Localizer, config: Mapping[str, Any]) -> str:
    """The model card: what it is, what made it, how far off it was."""
    count = sum(parameter.numel() for parameter in localizer.parameters())
    figures = config.get("figures", {})
    rows = "\n".join(f"| {name} | {_told(value)} |" for name, value in figures.items())
    store = config.get("store") or {}
    return (
        f"# A localizer of radiofix\n\n"
        f"{count:,} parameters: {config['encoder']['class_path']} and "
        f"{config['head']['class_path']}. Load it with `radiofix.load(folder)`.\n\n"
        f"Trained by a recipe of kind {config.get('trained_by', 'unknown')}, which `config.json` "
        f"holds whole, on the store {store.get('name', 'none')} "
        f"({store.get('scenario', 'no scenario')}); the checksums of its arrays are there too.\n\n"
        f"| figure of the run | |\n|---|---|\n{rows}\n"
    )


def _told(value: float) -> str:
    """A figure for people: whole from a thousand on, else with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
