"""Where recipes lie: files of the user's, and those that come with the package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = "recipes"
_PACKAGE = Path(__file__).parents[1]


def own_folder() -> Path:
    """Of the package's recipes: within it where it is installed, in a clone beside its source."""
    inside = _PACKAGE / FOLDER
    return inside if inside.is_dir() else _PACKAGE.parents[1] / FOLDER


def own_recipes() -> Iterator[tuple[str, str]]:
    """Name and text of each of the package's recipes, in the order of the alphabet."""
    folder = own_folder()
    for place in sorted(folder.rglob("*.yaml")):
        yield place.relative_to(folder).as_posix(), place.read_text()


def own(name: Path) -> Path:
    """One of the package's recipes; its name may begin with `recipes/`, as it does in a clone.

    Raises:
        ValueError: there is none of that name.
    """
    within = Path(*name.parts[1:]) if name.parts[:1] == (FOLDER,) else name
    place = own_folder() / within
    if name.is_absolute() or ".." in name.parts or not place.is_file():
        raise ValueError(f"no recipe {name}: `radiofix recipes` lists those of the package")
    return place


def found(path: Path) -> Path:
    """The user's own file where there is one, else the package's recipe of that name.

    Raises:
        ValueError: there is neither.
    """
    return path if path.is_file() else own(path)


def about(text: str) -> str:
    """What a recipe says of itself: the first sentence of its first comment."""
    words: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words += line.lstrip("# ").split()
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(words), maxsplit=1)[0]
