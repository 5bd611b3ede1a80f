"""Channels beside what a mask hides of them, as in Fig. 3 and 5 of the SigMap paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from torch import Tensor

from radiofix.pictures import style


def masking_picture(csi: Tensor, hidden: Tensor, shift: Tensor, names: Sequence[str]) -> Figure:
    """Draws links side by side: amplitude above, what a mask leaves of it below.

    `csi` is complex (link, antenna, subcarrier), `hidden` is true where it is masked; `shift` is
    each link's d, in subcarriers an antenna. Antennas are rows, the first one above, so that bands
    with positive d go down to the right. Amplitudes are over each link's largest.
    """
    _expect_alike(csi, hidden, shift, names)
    amplitude = csi.abs().double().numpy()
    largest = amplitude.max((1, 2), keepdims=True)
    scaled = amplitude / np.where(largest > 0, largest, 1)
    with style.house_style():
        figure = style.new_figure(max(4.0, 2.3 * len(csi)), 4.2)
        panels = figure.subplots(2, len(csi), squeeze=False, sharex=True, sharey=True)
        for n, name in enumerate(names):
            _draw(panels[0, n], scaled[n], np.zeros_like(scaled[n], dtype=bool))
            image = _draw(panels[1, n], scaled[n], hidden[n].numpy())
            panels[0, n].set_title(f"{name}\nd = {int(shift[n]):+d}", loc="left")
            share = 100 * float(hidden[n].double().mean())
            panels[1, n].set_title(f"{share:.0f} % hidden", loc="left")
            panels[1, n].set_xlabel("subcarrier")
        for row in panels:
            row[0].set_ylabel("antenna")
        bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.01)
        bar.set_label("|H| / max |H|")
    return figure


def _draw(axes: Axes, amplitude: NDArray[np.float64], hidden: NDArray[np.bool_]) -> AxesImage:
    scale = colormaps[style.SCALE].with_extremes(bad="white")
    shown = np.ma.masked_array(amplitude, hidden)
    return axes.imshow(shown, cmap=scale, vmin=0, vmax=1, aspect="auto", interpolation="nearest")


def _expect_alike(csi: Tensor, hidden: Tensor, shift: Tensor, names: Sequence[str]) -> None:
    if csi.ndim != 3 or not csi.is_complex() or not len(csi):
        raise ValueError(
            f"csi must be complex (link, antenna, subcarrier), got {csi.dtype} {tuple(csi.shape)}"
        )
    if hidden.shape != csi.shape or not len(csi) == len(shift) == len(names):
        raise ValueError(
            f"{len(csi)} links of csi, masks of {tuple(hidden.shape)}, {len(shift)} shifts and "
            f"{len(names)} names do not fit: give one of each for a link"
        )
