"""Recipes: YAML in, frozen dataclasses out; a key or a value that does not fit is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from radiofix.models.parts import Part, parse
from radiofix.training.batches import Receiver
from radiofix.training.recipe_files import found
from radiofix.training.settings import Settings
from radiofix.training.witnesses import Witnesses

Recipe = TypeVar("Recipe", "PretrainRecipe", "FinetuneRecipe")


_WEIGHTED_SUM = Part("radiofix.objectives.mixture.Mixture")
_ANY_OTHER = Part("radiofix.training.batches.AnyOther")
_EVERYBODY = Part("radiofix.training.users.Everybody")
_FULL_TUNING = Part("radiofix.training.adaptation.FullTuning")
BLEND = (0.25, 0.5, 0.75)
"""Shares of the way from first weights to last ones that are tried where nothing else is said."""


@dataclass(frozen=True)
class PretrainRecipe:
    """Self-supervision: an encoder, what it is trained for, and on which links."""

    encoder: Part
    objectives: dict[str, Part]
    weights: dict[str, float]
    """Of each objective's loss, eq. 19 of the LWLM paper."""
    pretrained: str | None = None
    """Run or localizer to go on from (`from` in YAML); None: from nothing."""
    mixture: Part = _WEIGHTED_SUM
    receiver: Receiver = field(default_factory=Receiver)
    partner: Part = _ANY_OTHER
    """Which other view of a user goes with its first."""
    store: str | None = None
    split: str = "region"
    parts: tuple[str, ...] = ("train",)
    """Of the split, whose users are trained on."""
    stations: tuple[str | int, ...] | None = None
    """Names; None: all of the store."""
    leave_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Parts of other splits whose users are not trained on, since others are tested on them."""
    users: int | None = None
    """At most, of `parts`, drawn by the seed; None: all."""
    witnesses: Witnesses | None = None
    """How the stations are asked where users were; None: they are not."""
    validation_users: int = 512
    """At most, of the split's part `validation`."""
    training: Settings = field(default_factory=Settings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.users is not None and self.users < 1:
            raise ValueError(f"users must be at least 1, got {self.users}")
        if self.training.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.training.steps}")
        if set(self.objectives) != set(self.weights):
            raise ValueError(
                f"weights are of {', '.join(self.weights) or 'none'}, but the objectives are "
                f"{', '.join(self.objectives) or 'none'}: give each one weight"
            )


@dataclass(frozen=True)
class FinetuneRecipe:
    """Supervision with few labels: a head on an encoder, from scratch or pretrained."""

    encoder: Part | None
    """For training from scratch; with `pretrained` it is that run's."""
    head: Part | None
    """If a pretrained run's simulated supervision has trained one of this class, it is taken; it is
    too where this is None."""
    task: Part
    pretrained: str | None = None
    """Folder of a pretraining run (`from` in YAML)."""
    adaptation: Part = _FULL_TUNING
    blend: tuple[float, ...] = BLEND
    """Shares of the way from a pretrained run's weights to those at the end that validation users
    are asked of, beside the best step; none, or where the last step is kept: that is taken."""
    krige: bool = False
    """Whether places are then moved by the errors at labelled users whose channels look alike, if
    that brings validation users nearer (`radiofix.models.kriging`)."""
    prompter: Part | None = None
    """That tells the encoder of the map, by prompt tokens; None: nobody does."""
    map: str | None = None
    """A store whose buildings it tells of; None: those of the run's own store."""
    receiver: Receiver = field(default_factory=Receiver)
    store: str | None = None
    split: str = "region"
    among: Part = _EVERYBODY
    """Whose links are trained, validated and tested on."""
    labels: int = 1000
    """Users of the split's part `train`: the first of a permutation drawn by the seed.

    With 0 nothing is trained: the pretrained run's own head is taken as it is.
    """
    stations: tuple[str | int, ...] | None = None
    """Names; None: all of the store."""
    fewest_stations: int | None = None
    """Each user keeps from this many to all of its stations, drawn at every step; None: all."""
    validation_users: int = 1000
    """At most, of the split's part `validation`."""
    training: Settings = field(default_factory=Settings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.labels < 0:
            raise ValueError(f"labels must be at least 0, got {self.labels}")
        if self.krige and not self.labels:
            raise ValueError("krige=True has nothing to go by with labels=0: give it labels")
        if not all(0 < share < 1 for share in self.blend):
            raise ValueError(f"blend must hold shares between 0 and 1, got {list(self.blend)}")


def load_recipe(kind: type[Recipe], path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and changes it by KEY=VALUE, keys dotted, values in YAML.

    One that is not there is sought among those that come with the package.

    Raises:
        ValueError: in one line that names the file, the key and what is wrong.
    """
    try:
        content = yaml.safe_load(found(path).read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no recipe: it must be a mapping of keys to values")
    for change in changes:
        _change(content, change)
    return read_recipe(kind, content, str(path))


def read_recipe(kind: type[Recipe], content: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from plain values."""
    values = dict(content)
    if "from" in values:
        values["pretrained"] = values.pop("from")
    return kind(**parse(kind, values, name))


def plain(recipe: PretrainRecipe | FinetuneRecipe) -> dict[str, Any]:
    """The recipe as plain values, for JSON."""
    return {f.name: _plain(getattr(recipe, f.name)) for f in dataclasses.fields(recipe)}


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return value.plain
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def _change(content: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not (key and equals):
        raise ValueError(f"{change!r} is not of the form KEY=VALUE")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    *way, last = key.split(".")
    place: Any = content
    for step in way:
        place = place.setdefault(step, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ValueError(f"{key} cannot be set: what it is part of is a single value")
    place[last] = value
