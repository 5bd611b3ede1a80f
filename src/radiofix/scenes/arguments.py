"""Arguments of a scene as people type them, held against its builder's signature."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import numpy as np

WORDS = {
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
}
"""What the plain types are called: one, several."""


def expect_arguments(
    scene: str, builder: Callable[..., object], arguments: Mapping[str, Any]
) -> None:
    """Refuses, in one line, arguments that the builder does not take or that are of no use to it.

    What is JSON is taken for what it stands for: a list for a tuple, text for a key or a path.
    """
    parameters = inspect.signature(builder, eval_str=True).parameters
    try:
        inspect.signature(builder).bind(**arguments)
    except TypeError as error:
        takes = ", ".join(parameters)
        raise ValueError(f"scene {scene}: {error}; it takes {takes}") from None
    for name, value in arguments.items():
        parameter = parameters[name]
        if not _fits(value, parameter.annotation):
            wanted = _named(parameter.annotation)
            usual = parameter.default
            without = usual in (None, parameter.empty)
            example = "" if without else f" (default {json.dumps(usual)})"
            raise ValueError(f"scene {scene}: {name} must be {wanted}, got {value!r}{example}")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is UnionType:
        return any(_fits(value, one) for one in get_args(kind))
    if get_origin(kind) is Sequence:
        (item,) = get_args(kind)
        several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
        return several and all(_fits(each, item) for each in value)
    if get_origin(kind) is Mapping:
        key, item = get_args(kind)
        return isinstance(value, Mapping) and all(
            _fits(k, key) and _fits(each, item) for k, each in value.items()
        )
    if isinstance(value, bool | np.bool_):
        return False
    if kind is float:
        if isinstance(value, int):  # it may be past all floats
            return abs(value) <= sys.float_info.max
        return isinstance(value, float | np.number) and bool(np.isfinite(value))
    return isinstance(value, (int, np.integer) if kind is int else kind)


def _named(kind: Any, several: bool = False) -> str:
    """What a type is called to people."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        names = [_named(one, several) for one in inner if one is not NoneType]
        return " or ".join(dict.fromkeys(names))
    if origin is Sequence:
        return f"{'lists' if several else 'a list'} of {_named(inner[0], several=True)}"
    if origin is Mapping:
        return f'an object of {_named(inner[1], several=True)}, as {{"1": 0.5}}'
    return WORDS[kind][several]
