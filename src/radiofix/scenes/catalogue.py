"""All scenes by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from radiofix.scenes.arguments import expect_arguments
from radiofix.scenes.builtin import CITIES, builtin
from radiofix.scenes.city import city
from radiofix.scenes.o1 import o1
from radiofix.scenes.osm import osm
from radiofix.scenes.scene import Scene

DESCRIPTIONS = {
    "o1": "DeepMIMO's O1 rebuilt: two streets, 18 stations, user grids UG1 to UG3",
    **{name: f"{city.description} (Sionna RT)" for name, city in CITIES.items()},
    "city": "a procedural city from a seed: city:17 or seed=17",
    "osm": "your own place from an OSM XML or GeoJSON file: osm:PATH or file=PATH",
}
BUILDERS: dict[str, Callable[..., Scene]] = {
    "o1": o1,
    **{name: partial(builtin, name) for name in CITIES},
    "city": city,
    "osm": osm,
}


def names() -> dict[str, str]:
    """What scenes there are, each with a line on what it is."""
    return dict(DESCRIPTIONS)


def scene(name: str, /, **arguments: Any) -> Scene:
    """Builds a scene by its name (`o1`, `munich`, `city:17`, `osm:PATH`) and its own arguments."""
    base, colon, short = name.partition(":")
    if base not in BUILDERS:
        near = difflib.get_close_matches(base, BUILDERS, n=3, cutoff=0.5)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(BUILDERS)}"
        raise ValueError(f"no scene {name!r}: {known}")
    if colon:
        arguments = {**arguments, **_short_form(base, short, arguments)}
    builder = BUILDERS[base]
    expect_arguments(base, builder, arguments)
    return builder(**arguments)


def _short_form(base: str, short: str, arguments: dict[str, Any]) -> dict[str, Any]:
    keys = {"city": "seed", "osm": "file"}
    if base not in keys:
        raise ValueError(f"scene {base}:{short} has a part too many: only city and osm take one")
    key = keys[base]
    if key in arguments:
        raise ValueError(f"{key} is given twice: in {base}:{short} and as {key}={arguments[key]!r}")
    if base == "city" and not (short.isascii() and short.isdigit()):
        raise ValueError(f"city:{short} needs a whole number as its seed, e.g. city:17")
    return {key: int(short) if base == "city" else short}
