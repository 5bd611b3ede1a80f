"""Who trains, who validates, who tests: at random as in the papers, or apart in space."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from radiofix.data.schema import SPLIT_CODES, Variable
from radiofix.data.store import StoreWriter

_log = logging.getLogger(__name__)

Codes = NDArray[np.int8]
Floats = NDArray[np.float64]

BLOCK = 25.0
"""Side of the squares of the split `region` [m]."""
RANDOM_SIZES = (10_000, 1_000, 10_000)
"""Training, validation and test users of the split `random`, as in the papers."""
SPLIT = Variable(("user",), "int8", "1", "part of the split that a user belongs to")


def put_splits(
    store: StoreWriter,
    position: Floats,
    sizes: tuple[int, int, int] = RANDOM_SIZES,
    seed: int = 0,
) -> None:
    """Writes the splits `random` and `region` of users at `position` (user, 3) [m].

    Users without a position (NaN) are unused. A place too small to be cut into regions gets no
    split `region`.
    """
    meaning = {"flag_values": list(SPLIT_CODES.values()), "flag_meanings": " ".join(SPLIT_CODES)}
    labelled = np.isfinite(position).all(1)

    def put(name: str, codes: Codes) -> None:
        split = np.full(len(position), SPLIT_CODES["unused"], dtype=np.int8)
        split[labelled] = codes
        store.put(name, SPLIT, split, **meaning)

    put("split_random", random_split(int(labelled.sum()), *sizes, seed))
    if not labelled.any():
        return
    try:
        region = region_split(position[labelled], seed=seed)
    except ValueError as error:
        _log.warning("no split region: %s", error)
        return
    put("split_region", region)


def expect_sizes(sizes: Sequence[int]) -> None:
    """Refuses sizes of the split `random`, before any work is done for it."""
    if len(sizes) != 3 or min(sizes) < 0:
        raise ValueError(
            f"split_sizes={','.join(map(str, sizes))} must be three numbers of users, "
            "none negative: training, validation, test"
        )


def random_split(
    users: int,
    train: int = 10_000,
    validation: int = 1_000,
    test: int = 10_000,
    seed: int = 0,
) -> Codes:
    """Draws users of each part at random: (users,) codes of `SPLIT_CODES`.

    Where there are fewer users than asked for, the three counts shrink in proportion and every
    user has a part; what was asked for is the caller's to record.
    """
    asked = {"train": train, "validation": validation, "test": test}
    for name, count in {"users": users, **asked}.items():
        if count < 0:
            raise ValueError(f"{name}={count} is negative: give a count of users")
    counts = _shrunk(np.array(list(asked.values())), users)
    drawn = np.repeat([SPLIT_CODES[part] for part in asked], counts).astype(np.int8)
    split = np.full(users, SPLIT_CODES["unused"], dtype=np.int8)
    split[np.random.default_rng(seed).permutation(users)[: len(drawn)]] = drawn
    return split


def squares(position: Floats, block: float = BLOCK) -> NDArray[np.int64]:
    """Number of the square [m] of the plane that each user (user, 2 or 3) stands in: (user,)."""
    plane = np.asarray(position, dtype=np.float64)[:, :2]
    corner = np.floor((plane - plane.min(0)) / block).astype(np.int64)
    _, number = np.unique(corner, axis=0, return_inverse=True)
    return np.asarray(number, dtype=np.int64).reshape(-1)


def region_split(
    position: Floats,
    block: float = BLOCK,
    guard: float = 5.0,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> Codes:
    """Gives whole square blocks [m] of the plane to validation and to test: (user,) codes.

    The shares are shares of the users (user, 3) [m]. No training user stays nearer than `guard`
    [m], in the plane, to a validation or test user, nor a validation user to a test user: those
    become unused.
    """
    plane = np.asarray(position, dtype=np.float64)[:, :2]
    _expect_region(plane, block, guard, validation, test)
    block_of = squares(plane, block)
    sizes = np.bincount(block_of)
    order = np.random.default_rng(seed).permutation(len(sizes))
    tested = _drawn(order, sizes, test * len(plane))
    validated = _drawn(order[~tested[order]], sizes, validation * len(plane))

    part = np.full(len(sizes), SPLIT_CODES["train"], dtype=np.int8)
    part[tested] = SPLIT_CODES["test"]
    part[validated] = SPLIT_CODES["validation"]
    split: Codes = part[block_of]
    _clear(split, plane, guard, "validation", ("test",))
    _clear(split, plane, guard, "train", ("validation", "test"))
    for name, share in {"train": 1.0, "validation": validation, "test": test}.items():
        if share > 0 and not (split == SPLIT_CODES[name]).any():
            raise ValueError(
                f"block={block:g} m with guard={guard:g} m leaves no {name} user among "
                f"{len(plane)}: choose a smaller guard or another block"
            )
    return split


def nearest_train_distance(position: Floats, split: Codes) -> Floats:
    """Distance from every test user to its nearest training user: (test users,) [m].

    `position` is (user, 2) for distances in the plane or (user, 3) [m]; users without one (NaN)
    are left out.
    """
    position = np.asarray(position, dtype=np.float64)
    known = np.isfinite(position).all(1)
    position, split = position[known], split[known]
    train = position[split == SPLIT_CODES["train"]]
    if not len(train):
        raise ValueError("the split has no training user to measure a distance to")
    distance, _ = cKDTree(train).query(position[split == SPLIT_CODES["test"]])
    return np.asarray(distance, dtype=np.float64)


def _shrunk(counts: NDArray[np.int64], users: int) -> NDArray[np.int64]:
    """The counts, or where they exceed the users their proportional share by largest remainder."""
    total = int(counts.sum())
    if total <= users:
        return counts
    share = counts * users / total
    whole = np.floor(share).astype(np.int64)
    largest = np.argsort(whole - share, kind="stable")[: users - int(whole.sum())]
    whole[largest] += 1
    return whole


def _drawn(order: NDArray[np.int64], sizes: NDArray[np.int64], wanted: float) -> NDArray[np.bool_]:
    """Takes blocks in order while that brings the number of users nearer to `wanted`."""
    taken = np.zeros(len(sizes), dtype=bool)
    users = 0
    for candidate in order:
        if users + sizes[candidate] / 2 < wanted:
            taken[candidate] = True
            users += sizes[candidate]
    return taken


def _clear(split: Codes, plane: Floats, guard: float, part: str, kept_off: tuple[str, ...]) -> None:
    """Marks users of `part` that are nearer than `guard` to the parts to be kept off as unused."""
    others = plane[np.isin(split, [SPLIT_CODES[name] for name in kept_off])]
    mine = np.flatnonzero(split == SPLIT_CODES[part])
    if len(others) and len(mine):
        distance, _ = cKDTree(others).query(plane[mine])
        split[mine[distance < guard]] = SPLIT_CODES["unused"]


def _expect_region(
    plane: Floats, block: float, guard: float, validation: float, test: float
) -> None:
    if not len(plane):
        raise ValueError("position has no users: there is nothing to split")
    if not np.isfinite(plane).all():
        row = int(np.flatnonzero(~np.isfinite(plane).all(1))[0])
        raise ValueError(f"position of user {row} is {plane[row].tolist()}: it must be finite")
    if not (np.isfinite(block) and block > 0):
        raise ValueError(f"block={block:g} m must be positive")
    if not (np.isfinite(guard) and guard >= 0):
        raise ValueError(f"guard={guard:g} m must not be negative")
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError(
            f"validation={validation:g} and test={test:g} must be shares that leave some to train"
        )
