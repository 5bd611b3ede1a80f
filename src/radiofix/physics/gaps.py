"""Combs of pilots: which one, and the band between pilots bridged."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Complex, Float, Int, Shaped
from torch import Tensor

WIDEST = 16
"""Step of the widest comb that is bridged."""
_AT_ONCE = 2**25
"""Weights of links that are bridged together: what memory bears where bands are wide."""
_REACH = 0.5
"""Deviation of the bell by which pilots count for what lies beside them [steps]."""


def bridged(
    csi: Complex[Tensor, "link antenna subcarrier"],
) -> Complex[Tensor, "link antenna subcarrier"]:
    """CSI that was seen on a comb along the band, as of NR's SRS, with what lies between pilots.

    Each subcarrier, a pilot's own as well, becomes the mean of the pilots within a step of it. That
    is near the truth where a channel varies slowly over the band: seen from its strongest wave.
    Links without a comb stay as they are, and those whose antennas are in a comb too: over half a
    wavelength apart these see several directions alike, and a network does better to see the gaps.

    Args:
        csi: with its strongest wave's delay taken off; zeros where nothing was observed.
    """
    if bool((csi != 0).all()):
        return csi
    pieces = torch.split(csi, max(1, _AT_ONCE // csi.shape[2] ** 2))
    parts = [bridged_parts(*torch.view_as_real(piece).unbind(-1)) for piece in pieces]
    return torch.cat([torch.complex(*both) for both in parts])


def bridged_parts(
    real: Float[Tensor, "link antenna subcarrier"],
    imaginary: Float[Tensor, "link antenna subcarrier"],
) -> tuple[
    Float[Tensor, "link antenna subcarrier"],
    Float[Tensor, "link antenna subcarrier"],
]:
    """`bridged` without a complex number; neither branch nor shape depends on what was seen."""
    seen = (real != 0) | (imaginary != 0)
    whole = _comb(seen.any(2)) == 1
    step = torch.where(whole, _comb(seen.any(1)), 1)
    planes = torch.stack([real, imaginary, seen.to(real.dtype)], 1)
    place = torch.arange(real.shape[2], device=real.device)
    bell = torch.exp(-0.5 * (place / (_REACH * step[:, None])).square())
    # Without a comb a subcarrier is its own pilot, and beside it there is none.
    counts = (place < step[:, None]) | ((place == step[:, None]) & (step > 1)[:, None])
    weight = torch.where(counts, bell, 0.0).to(real.dtype)
    # By how far apart two subcarriers are.
    weights = weight[:, (place[:, None] - place).abs()]
    total = torch.unflatten(planes.flatten(1, 2) @ weights, 1, (3, -1))
    total_real, total_imaginary, near = total.unbind(1)
    near = torch.where(near > 0, near, 1.0)
    return total_real / near, total_imaginary / near


def comb_step(seen: Bool[Tensor, "link place"]) -> Float[Tensor, " link"]:
    """The largest step on which all observed places of a link lie; 1: no comb."""
    return _largest(seen, max(1, seen.shape[1] // 2 - 1)).double()


def _comb(seen: Bool[Tensor, "link place"]) -> Int[Tensor, " link"]:
    """Step of a comb whose neighbours are nowhere further apart than `WIDEST`; 1: there is none."""
    step = _largest(seen, WIDEST)
    places = seen.shape[1]
    next_ = torch.arange(places, device=seen.device) + step[:, None]
    followed = seen.gather(1, next_.clamp(max=places - 1)) & (next_ < places)
    # Of a wider comb a divisor fits as well, but no two pilots are so near.
    return torch.where((seen & followed).any(-1), step, 1)


def _largest(seen: Shaped[Tensor, "link place"], widest: int) -> Int[Tensor, " link"]:
    """The largest step up to a widest on which all observed places lie."""
    index = torch.arange(seen.shape[1], device=seen.device)
    first = seen.to(torch.uint8).argmax(-1)
    step = torch.arange(1, widest + 1, device=seen.device)
    # A step fits where no observed place lies beside it.
    off = (index[None, None] - first[:, None, None]) % step[None, :, None] != 0
    fits = ~(off & seen[:, None]).any(-1) & (seen.sum(-1) > 1)[:, None]
    return torch.where(fits, step, 1).amax(-1)
