"""Checksums of a store's headers: attributes, units, shapes and codecs, which no chunk covers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ATTRIBUTE = "attributes_sha256"
"""The attribute of the root that holds the checksums, by folder; all but itself is in them."""
ROOT = "."


def header_sums(root: Path, arrays: Iterable[str]) -> dict[str, str]:
    """The sha256 of the headers of the root, of these arrays and of the groups they are in."""
    groups = {name.rpartition("/")[0] for name in arrays} - {""}
    return {name: _sum(root / name) for name in sorted({ROOT, *groups, *arrays})}


def header_problems(root: Path, attributes: Mapping[str, Any]) -> tuple[list[str], str]:
    """What is wrong with the headers by their checksums, and what to say where nothing is.

    Headers that cannot be read, and arrays that are gone altogether, are for others to find.
    """
    recorded = attributes.get(ATTRIBUTE)
    if recorded is None:
        # A flip in the attribute's own name must not make the store look like an older one.
        if lost := [k for k, v in attributes.items() if isinstance(v, dict) and ROOT in v]:
            return [f"{lost[0]} should be called {ATTRIBUTE}"], ""
        return [], f"no {ATTRIBUTE} to compare with: the store is of an older radiofix"
    if not isinstance(recorded, dict) or ROOT not in recorded:
        return [f"{ATTRIBUTE} is no table of checksums"], ""
    problems = []
    for name, expected in recorded.items():
        try:
            same = _sum(root / name) == expected
        except FileNotFoundError:
            if (root / name).is_dir():
                problems.append(f"{name} has no zarr.json")
            continue
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if not same:
            what = "the store's attributes differ" if name == ROOT else f"those of {name} differ"
            problems.append(f"{what} from the sha256")
    return problems, f"{len(recorded)} headers equal their sha256"


def _sum(folder: Path) -> str:
    header = json.loads((folder / "zarr.json").read_bytes())
    if header["node_type"] == "group":
        # What else a group's header has is for zarr alone: it may be rewritten by any reader.
        header = {k: v for k, v in header["attributes"].items() if k != ATTRIBUTE}
    canonical = json.dumps(header, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
