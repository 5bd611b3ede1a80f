"""Requests put together, cut into pieces, and their fixes handed back to whom they belong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from radiofix.serving.fixes import Fixes
from radiofix.serving.http.limits import ELEMENTS
from radiofix.serving.soundings import Heard, Labels
from radiofix.types import Sounding

Shape = tuple[int, int]
"""Antennas, subcarriers: only links of one shape fit in one tensor."""
Locate = Callable[[Heard], Fixes]
T = TypeVar("T", bound=np.generic)


def cost_of(heard: Heard) -> int:
    """Links, of which a large one counts as several; at least 1, for nothing is free."""
    antennas, subcarriers = shape_of(heard)
    return max(1, len(heard.fix) * math.ceil(antennas * subcarriers / ELEMENTS))


def cut(heard: Heard, most: int) -> list[Heard]:
    """A request in pieces of whole fixes that cost so much at most, or are a single fix."""
    antennas, subcarriers = shape_of(heard)
    links = max(1, most // math.ceil(antennas * subcarriers / ELEMENTS))
    if len(heard.fix) <= links:
        return [heard]
    # Links of one fix lie next to each other, the fixes in order.
    ends = np.searchsorted(heard.fix, np.arange(len(heard.labels)), "right")
    pieces, first, begin = [], 0, 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, begin + links, "right")))
        end = int(ends[last - 1])
        pieces.append(
            Heard(
                heard.source,
                heard.sounding[slice(begin, end)],
                heard.fix[begin:end] - first,
                heard.labels[first:last],
            )
        )
        first, begin = last, end
    return pieces


def whole(parts: Sequence[Fixes]) -> Fixes:
    """The fixes of a request that was cut, with as many slots of stations as any part has."""
    slots = max(part.station.shape[1] for part in parts)

    def widened(values: NDArray[T], empty: int) -> NDArray[T]:
        unused = ((0, 0), (0, slots - values.shape[1]))
        return np.pad(values, unused, constant_values=empty)

    return Fixes(
        source=parts[0].source,
        user=np.concatenate([part.user for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        track=np.concatenate([part.track for part in parts]),
        position=np.concatenate([part.position for part in parts]),
        covariance=np.concatenate([part.covariance for part in parts]),
        trusted=np.concatenate([part.trusted for part in parts]),
        station=np.concatenate([widened(part.station, -1) for part in parts]),
        weight=np.concatenate([widened(part.weight, 0) for part in parts]),
    )


def answered(questions: Sequence[Heard], locate: Locate) -> list[Fixes | Exception]:
    """One answer a question, of one call; where that fails, of one call each."""
    try:
        return list(parted(locate(joined(questions)), questions))
    except ValueError as error:
        if len(questions) == 1:
            return [error]
        return [answer for one in questions for answer in answered([one], locate)]


def joined(questions: Sequence[Heard]) -> Heard:
    """Several requests as one; fixes in order."""
    if len(questions) == 1:
        return questions[0]
    offsets = np.cumsum([0, *(len(one.labels) for one in questions[:-1])])
    labels = [one.labels for one in questions]
    return Heard(
        questions[0].source,
        Sounding.join([one.sounding for one in questions]),
        np.concatenate([one.fix + offset for one, offset in zip(questions, offsets, strict=True)]),
        Labels(
            np.concatenate([one.user for one in labels]),
            np.concatenate([one.time for one in labels]),
            np.concatenate([one.track for one in labels]),
        ),
    )


def parted(fixes: Fixes, questions: Sequence[Heard]) -> list[Fixes]:
    """The fixes of each request, with as many slots of stations as it needs itself."""
    parts, start = [], 0
    for one in questions:
        part = fixes[start : start + len(one.labels)]
        start += len(one.labels)
        slots = int(part.heard.max(initial=1))
        parts.append(
            Fixes(
                source=part.source,
                user=part.user,
                time=part.time,
                track=part.track,
                position=part.position,
                covariance=part.covariance,
                trusted=part.trusted,
                station=part.station[:, : max(1, slots)],
                weight=part.weight[:, : max(1, slots)],
            )
        )
    return parts


def shape_of(heard: Heard) -> Shape:
    """Antennas and subcarriers of a request."""
    _, antennas, subcarriers = heard.sounding.csi.shape
    return antennas, subcarriers
