"""Localizers on the Hugging Face Hub: the files of a run's `localizer/`, by the Hub's own mixin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, ModelHubMixin, snapshot_download
from safetensors.torch import save

from radiofix.files import write_whole
from radiofix.models import pretrained
from radiofix.models.localizer import Localizer

FILES = (pretrained.CONFIG, pretrained.WEIGHTS, pretrained.CARD)
"""All that is taken from the Hub: no code, no pickle."""
HOME = "radiofix"
"""Library that the Hub names beside a model."""
TAGS = ["wireless", "csi", "localization", "positioning"]
_FENCE = "---"


class Shipment(ModelHubMixin, library_name=HOME, tags=list(TAGS)):
    """A localizer as huggingface_hub wants it: something that saves to a folder and comes back."""

    def __init__(self, localizer: Localizer) -> None:
        self.localizer = localizer

    def _save_pretrained(self, save_directory: Path) -> None:
        record = self.localizer.record
        if record is None:
            raise ValueError(
                "this localizer has no config to be loaded by: "
                "load a finished run or a name, and save that"
            )
        state = self.localizer.state_dict()
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        write_whole(save_directory / pretrained.WEIGHTS, save(weights))
        write_whole(save_directory / pretrained.CARD, with_front_matter(record.card))
        text = json.dumps(dict(record.config), indent=1)
        write_whole(save_directory / pretrained.CONFIG, f"{text}\n")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **model_kwargs: Any,
    ) -> Shipment:
        folder = fetched(
            model_id,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(pretrained.load(folder))


def fetched(name: str, **options: Any) -> Path:
    """The folder of a localizer: one that is here, or what the Hub has, in huggingface_hub's cache.

    Args:
        name: a folder or an id, "owner/name".
        options: of `huggingface_hub.snapshot_download`.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), **options))
    except Exception as error:  # huggingface_hub, its client and the system each have their own
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name} is no folder here and could not be had from the Hub: {reason}"
        ) from error


def is_id(name: str) -> bool:
    """Whether a name can only mean a model on the Hub: owner/name, and no folder of ours."""
    owner, slash, rest = name.partition("/")
    plain = all(re.fullmatch(r"[A-Za-z0-9][\w.-]*", part) for part in (owner, rest))
    return bool(slash) and plain and not Path(owner).exists()


def with_front_matter(card: str) -> str:
    """A card with what the Hub's pages and its search read at its top."""
    if card.startswith(_FENCE):
        return card
    data = ModelCardData(library_name=HOME, tags=list(TAGS))
    return f"{_FENCE}\n{data.to_yaml()}\n{_FENCE}\n\n{card}"
