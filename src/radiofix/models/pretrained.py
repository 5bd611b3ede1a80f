"""Trained localizers by name, by folder or off the Hub; nothing that is read is ever run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from radiofix.models.localizer import Localizer, Record
from radiofix.models.parts import Part

FOLDER = "localizer"
"""Inside a run: what is loaded."""
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
SHELF = resources.files("radiofix.models") / "weights"


def names() -> list[str]:
    """Localizers that come with the package."""
    if not SHELF.is_dir():
        return []
    return sorted(entry.name for entry in SHELF.iterdir() if (entry / CONFIG).is_file())


def load(name: str | Path) -> Localizer:
    """A trained localizer, ready to `locate`.

    Args:
        name: of one that comes with the package ("radiofix-nano"), or a folder: of a finished run,
            or what `localizer/` in one holds; or an id of the Hugging Face Hub, "owner/name".
    """
    folder = _folder(name)
    try:
        config = json.loads((folder / CONFIG).read_text())
        weights = load_file(folder / WEIGHTS)
        card = (folder / CARD).read_text() if (folder / CARD).is_file() else ""
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder} cannot be read as a localizer: {reason}") from error
    localizer = build(config, str(folder))
    try:
        localizer.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder} has weights that do not fit its config: {reason}") from error
    localizer.record = Record(config, card)
    return localizer.eval()


def build(config: Mapping[str, Any], name: str) -> Localizer:
    """A localizer as its config says, with new weights."""
    if config.get("kind") != "localizer":
        raise ValueError(f"{name} is no localizer: give the folder of a finished run")
    encoder = Part(**config["encoder"]).build()
    head = Part(**config["head"]).build(dim=encoder.dim)
    return Localizer(encoder, head)


def describe(name: str | Path) -> dict[str, Any]:
    """What is known of a trained localizer: what made it, from what, and how far off it is."""
    return dict(json.loads((_folder(name) / CONFIG).read_text()))


def _folder(name: str | Path) -> Path:
    if isinstance(name, str) and name in names():
        with resources.as_file(SHELF / name) as packaged:
            return packaged
    path = Path(name)
    for folder in (path / FOLDER, path):
        if (folder / CONFIG).is_file():
            return folder
    if isinstance(name, str) and "/" in name:
        # huggingface_hub is slow to import, and only needed here.
        from radiofix.models.hub import fetched, is_id

        if is_id(name):
            return fetched(name)
    known = ", ".join(names()) or "none"
    raise ValueError(
        f"{name} is neither a finished run's folder nor a localizer that comes with radiofix "
        f"({known})"
    )
