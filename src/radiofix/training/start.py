"""The beginning of a run: its folder, with the recipe in it, is new or goes on as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from radiofix.training.checkpoints import RunFolder
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, plain
from radiofix.training.settings import Settings

RECIPE = "recipe.json"


def expect_run(path: Path, recipe: PretrainRecipe | FinetuneRecipe, resume: bool) -> None:
    """Refuses a folder that exists, or, to be resumed, is none or has another recipe."""
    if not resume:
        if path.exists():
            raise ValueError(f"{path} exists already: choose another --out, or go on with --resume")
        return
    if not (path / RECIPE).is_file():
        raise ValueError(f"{path} is no run to resume: leave out --resume to begin one")
    begun = _filled(recipe, json.loads((path / RECIPE).read_text()))
    changed = _changed(begun, plain(recipe))
    if changed:
        raise ValueError(f"{path} was begun with another {changed}: resume with the same")


def begin(folder: RunFolder, recipe: PretrainRecipe | FinetuneRecipe) -> None:
    """Makes the folder, once all that can be wrong with a recipe has been found out."""
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_json(RECIPE, plain(recipe))


def _changed(before: dict[str, object], now: dict[str, object]) -> str:
    """Names of keys that differ; where the store lies may change."""
    same = json.loads(json.dumps(now))
    return ", ".join(sorted(k for k in same if k != "store" and before.get(k) != same[k]))


def _filled(part: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """What was written of a recipe or of a part of it, with what keys mean that are newer."""
    newer = {f.name: f.default for f in fields(part) if f.default is not MISSING}
    result = {**newer, **told}
    for field in fields(part):
        own = getattr(part, field.name)
        if isinstance(result.get(field.name), dict) and isinstance(own, Settings):
            result[field.name] = _filled(own, result[field.name])
    return result
