"""Combs of pilots: which one, and the band between pilots bridged."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

WIDEST = 16
"""Step of the widest comb that is bridged."""
_REACH = 0.5
"""Deviation of the bell by which pilots count for what lies beside them [steps]."""


def bridged(
    csi: Complex[Tensor, "link antenna subcarrier"],
) -> Complex[Tensor, "link antenna subcarrier"]:
    """CSI that was seen on a comb along the band, as of NR's SRS, with what lies between pilots.

    Each subcarrier is the mean of the pilots beside it, which is near the truth where a channel
    varies slowly over the band: seen from its strongest wave. Links without a comb stay as they
    are, and those whose antennas are in a comb too: over half a wavelength apart these see several
    directions alike, and a network does better to see the gaps.

    Args:
        csi: with its strongest wave's delay taken off; zeros where nothing was observed.
    """
    seen = csi != 0
    if bool(seen.all()):
        return csi
    weights = bridges(seen.to(csi.real.dtype))
    real, imaginary = (part @ weights.mT for part in torch.view_as_real(csi).unbind(-1))
    return torch.complex(real, imaginary)


def bridges(
    seen: Float[Tensor, "link antenna subcarrier"],
) -> Float[Tensor, "link subcarrier subcarrier"]:
    """Weights by which pilots (columns) make each subcarrier (rows); 0 where none is near.

    Args:
        seen: 1 where something was observed, else 0.
    """
    along = seen.amax(1)
    whole = comb_step(seen.amax(2), WIDEST) == 1
    step = comb_step(along, WIDEST) * whole + ~whole
    place = torch.arange(seen.shape[2], device=seen.device).to(seen.dtype)
    apart = (place[:, None] - place) / step.to(seen.dtype)[:, None, None]
    bell = torch.exp(-0.5 * (apart / _REACH).square())
    alone = (apart == 0).to(seen.dtype)
    weights = torch.where(step[:, None, None] > 1, bell, alone) * along[:, None]
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-20)


def comb_step(seen: Shaped[Tensor, "link place"], widest: int | None = None) -> Tensor:
    """The largest step on which all observed places of a link lie; 1: no comb.

    Args:
        seen: not 0 where a place was observed.
        widest: step that is looked for; None: half of the places.
    """
    seen = seen != 0
    places = seen.shape[1]
    index = torch.arange(places, device=seen.device)
    first = seen.to(torch.uint8).argmax(-1)
    last = max(1, places // 2 - 1) if widest is None else widest
    step = torch.arange(1, last + 1, device=seen.device)
    # A step fits where no observed place lies beside it.
    off = (index[None, None] - first[:, None, None]) % step[None, :, None] != 0
    fits = ~(off & seen[:, None]).any(-1) & (seen.sum(-1) > 1)[:, None]
    return torch.where(fits, step, 1).amax(-1).double()
