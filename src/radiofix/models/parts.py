"""Parts of a run named in a recipe: a class of radiofix and what it is made with."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace
from jsonargparse.typing import register_type

PACKAGE = "radiofix."


class Part:
    """A class of radiofix by its path, and the arguments to make one with.

    No dataclass: jsonargparse has a meaning of its own for dataclasses with a class path.
    """

    __slots__ = ("class_path", "init_args")

    def __init__(self, class_path: str, init_args: Mapping[str, Any] | None = None) -> None:
        self.class_path = class_path
        self.init_args = dict(init_args or {})
        for path in _class_paths(self.plain):
            _expect_ours(path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self.plain == other.plain

    def __hash__(self) -> int:
        return hash(self.class_path)

    def __repr__(self) -> str:
        return f"Part({self.class_path!r}, {self.init_args!r})"

    @property
    def plain(self) -> dict[str, Any]:
        """As it stands in a recipe."""
        return {"class_path": self.class_path, "init_args": self.init_args}

    def build(self, **given: Any) -> Any:
        """Makes one; what is `given` fills the arguments that the recipe leaves open.

        Raises:
            ValueError: in one line, where the class is unknown or an argument does not fit.
        """
        made_by = _find(self.class_path)
        known = inspect.signature(made_by).parameters
        context = {k: v for k, v in given.items() if k in known and k not in self.init_args}
        arguments = parse(made_by, self.init_args, self.class_path, skip=set(context))
        return made_by(**context, **arguments)


def _as_part(value: Any) -> Part:
    if isinstance(value, Part):
        return value
    if not (isinstance(value, Mapping) and "class_path" in value):
        raise ValueError(f"expected class_path and init_args, got {value!r}")
    unknown = set(value) - {"class_path", "init_args"}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} belongs under init_args")
    return Part(value["class_path"], value.get("init_args"))


# jsonargparse would otherwise make the part itself, before what it depends on is there.
register_type(
    Part,
    serializer=lambda part: part.plain,
    deserializer=_as_part,
    deserializer_exceptions=(ValueError,),
)


def parse(
    made_by: Any, values: Mapping[str, Any], name: str, skip: set[str] | None = None
) -> dict[str, Any]:
    """Arguments of a class from plain values, checked against the types it asks for.

    Raises:
        ValueError: in one line that names `name` and the argument.
    """
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(made_by, skip=skip or set())
        ready: Namespace = parser.instantiate(parser.parse_object(dict(values)))
    except (ArgumentError, TypeError, KeyError) as error:
        raise ValueError(f"{name}: {_one_line(error)}") from error
    return dict(vars(ready))


def _find(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ValueError(f"class_path={class_path} does not exist: look for its name") from None
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise ValueError(f"class_path={class_path} is no class")
    return found


def _expect_ours(class_path: Any) -> None:
    if not str(class_path).startswith(PACKAGE):
        raise ValueError(
            f"class_path={class_path} is refused: recipes name classes of radiofix alone"
        )


def _class_paths(values: Any) -> list[Any]:
    """Every class path inside, nested arguments included."""
    if isinstance(values, Mapping):
        own = [values["class_path"]] if "class_path" in values else []
        return own + [path for value in values.values() for path in _class_paths(value)]
    if isinstance(values, list | tuple):
        return [path for value in values for path in _class_paths(value)]
    return []


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__
