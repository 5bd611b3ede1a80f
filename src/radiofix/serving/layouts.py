"""Which arrays of a file hold the CSI, and in which order their axes come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiofix.data.importers.arrays import CSI_NAMES, DIMENSIONS, ONE, PARTS
from radiofix.data.store import Array
from radiofix.serving.pieces import ArrayFile

USUAL_AXES = {
    2: "antenna subcarrier",
    3: "user antenna subcarrier",
    4: "user station antenna subcarrier",
}
"""By the number of axes, where nothing is said."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The CSI's arrays and axes in one file."""

    title: str
    names: tuple[str, ...]
    """One array, or the real and the imaginary part."""
    axes: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Users, stations, antennas, subcarriers."""
        user, station, antenna, subcarrier = (
            int(np.prod([n for a, n in zip(self.axes, self.shape, strict=True) if a == wanted]))
            for wanted in DIMENSIONS
        )
        return user, station, antenna, subcarrier

    def pieces(self, file: ArrayFile, rows: Sequence[int]) -> Iterator[NDArray[np.complex64]]:
        """So many rows after the other as (user, station, antenna, subcarrier)."""
        if self.axes.count("user") == 1:
            axis = self.axes.index("user")
            parts = [file.pieces(name, axis, rows) for name in self.names]
            yield from (self._arranged(group) for group in zip(*parts, strict=True))
            return
        found = file.whole(self.names)
        csi = self._arranged([found[name] for name in self.names])
        start = 0
        for count in rows:
            yield csi[start : start + count]
            start += count

    def _arranged(self, parts: Sequence[Array]) -> NDArray[np.complex64]:
        for part in parts:
            expect_numbers(self.title, "csi", part)
        csi = self._complex(parts)
        left = [axis for axis in self.axes if axis != PARTS]
        places = [[i for i, axis in enumerate(left) if axis == wanted] for wanted in DIMENSIONS]
        ones = [i for i, axis in enumerate(left) if axis == ONE]
        turned = csi.transpose([*(i for group in places for i in group), *ones])
        sizes = [int(np.prod([csi.shape[i] for i in group])) for group in places]
        with np.errstate(over="ignore", invalid="ignore"):
            # A copy of its own: torch takes no array that may not be written to.
            return np.array(turned.reshape(sizes), dtype=np.complex64, order="C")

    def _complex(self, parts: Sequence[Array]) -> Array:
        if len(parts) == 2:
            return np.asarray(parts[0] + 1j * parts[1])
        (csi,) = parts
        if PARTS in self.axes:
            real, imaginary = np.moveaxis(csi, self.axes.index(PARTS), 0)
            return np.asarray(real + 1j * imaginary)
        if not np.iscomplexobj(csi):
            raise ValueError(
                f"{self.title}: the csi is real: name both parts (csi_real, csi_imag) or an axis "
                f'"{PARTS}"'
            )
        return csi


def called_in(file: ArrayFile, names: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """What is called how in the file: what was said, and our own names where they are there."""
    if unknown := [ours for ours in names if ours not in known]:
        raise ValueError(f"names has {unknown[0]!r}, which is none of {', '.join(known)}")
    there = file.shapes
    if missing := [theirs for theirs in names.values() if theirs not in there]:
        raise ValueError(f"{file.title} has no {missing[0]!r}: it has {', '.join(there) or 'none'}")
    told = CSI_NAMES if {*names} & {*CSI_NAMES} else ()
    own = {ours: ours for ours in known if ours in there and ours not in (*told, *names)}
    called = {**own, **names}
    if {*called} & {*CSI_NAMES} not in ({"csi"}, {"csi_real", "csi_imag"}):
        raise ValueError(
            f"{file.title} has no csi: it has {', '.join(there) or 'nothing'}; say which it is, "
            "names csi=..., or csi_real=... and csi_imag=..."
        )
    return called


def layout_of(file: ArrayFile, called: Mapping[str, str], axes: str | None) -> Layout:
    """The layout, by what was said or by the number of axes."""
    names = tuple(called[name] for name in CSI_NAMES if name in called)
    shape = file.shapes[names[0]]
    if any(file.shapes[name] != shape for name in names):
        raise ValueError(f"{file.title}: csi_real and csi_imag differ in shape: get it again")
    if axes is None and len(shape) not in USUAL_AXES:
        raise ValueError(f"{file.title}: the csi has shape {shape}: say in axes what its axes are")
    order = tuple((USUAL_AXES[len(shape)] if axes is None else axes).split())
    if unknown := [axis for axis in order if axis not in (*DIMENSIONS, PARTS, ONE)]:
        raise ValueError(
            f"axes has {unknown[0]!r}, which is none of {', '.join((*DIMENSIONS, PARTS, ONE))}"
        )
    if missing := [axis for axis in ("antenna", "subcarrier") if axis not in order]:
        raise ValueError(f"axes lacks {missing[0]!r}: name it")
    if len(order) != len(shape):
        raise ValueError(f"{file.title}: axes names {len(order)} axes, the csi has shape {shape}")
    for axis, size in zip(order, shape, strict=True):
        if size == 0 or (axis == ONE and size != 1) or (axis == PARTS and size != 2):
            raise ValueError(
                f"{file.title}: axis {axis!r} of a csi of shape {shape} has size {size}"
            )
    return Layout(file.title, names, order, tuple(shape))


def expect_numbers(title: str, name: str, values: Array) -> Array:
    """The values, refused where they are none."""
    if values.dtype.kind not in "iufc":
        raise ValueError(f"{title}: {name} holds {values.dtype} values, not numbers")
    return values
