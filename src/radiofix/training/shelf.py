"""The recipes that come with the package, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = "recipes"
_PACKAGE = Path(__file__).parents[1]


def shelf() -> Path:
    """Their folder: the installed package's, or that of the clone which the package is run from."""
    inside = _PACKAGE / FOLDER
    return inside if inside.is_dir() else _PACKAGE.parents[1] / FOLDER


def on_shelf() -> Iterator[tuple[str, str]]:
    """Name and text of each recipe, in the order of the alphabet."""
    own = shelf()
    for place in sorted(own.rglob("*.yaml")):
        yield place.relative_to(own).as_posix(), place.read_text()


def found(path: Path) -> Path:
    """The user's own file where there is one, else the recipe on the shelf of that name.

    The name may begin with `recipes/`, as it does in a clone.

    Raises:
        ValueError: there is neither.
    """
    if path.is_file():
        return path
    name = Path(*path.parts[1:]) if path.parts[:1] == (FOLDER,) else path
    own = shelf() / name
    if path.is_absolute() or ".." in path.parts or not own.is_file():
        raise ValueError(f"no recipe {path} here, nor among those that `radiofix recipes` lists")
    return own


def about(text: str) -> str:
    """What a recipe says of itself: the first sentence of its first comment."""
    words: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words += line.lstrip("# ").split()
    sentence, stop, _ = " ".join(words).partition(". ")
    return sentence + "." if stop else sentence
