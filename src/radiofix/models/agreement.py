"""One place from what several stations hold probable, each of many places: what they agree on.

Station s says that its user is at x with the density

    p_s(x) = (1 - e) sum_k w_sk f(x - x_sk; C_sk) + e / A,

f being the law by which places are taught (`surprise` in objectives/tasks.py) and e the share of
links that tell nothing of where their user is. Stations err each for itself, so that the densities
multiply. The product has too many parts to be written down; it is taken at the parts of each
station: part (s, k) weighs

    w_sk prod_{t != s} [(1 - e) sum_l w_tl f(x_sk - x_tl; C_sk + C_tl) + e / A],

for two stations and normal densities the very weights of the product, summed over the other's
parts. A place that one station held improbable wins where the others have one beside it; joining
single places by their covariances cannot find it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from radiofix.types import Mixture

PARTS = 64
"""Of each link that are kept, the most probable first: 32 lost some, 128 brought nothing."""
ALL, LEAST = 128, 16
"""Of a user's links together, as all are held against all; and of each of very many."""
LOST = 0.02
"""Share of links that tell nothing of where their user is."""
AREA = 500.0**2
"""Where such a user may be [m^2]."""
TURNS = 30
"""Of Weiszfeld's iteration: then places that agree to metres have been found to centimetres."""
PAIRS = 2_000_000
"""Parts of one station beside another's that are looked at at a time."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Each user's place by all stations that hold several places probable."""

    position: Float[Tensor, "user 2"]
    """Scene frame [m]."""
    covariance: Float[Tensor, "user 2 2"]
    """[m^2]."""
    belief: Float[Tensor, "user station"]
    """How probable it is that a station's link told of where its user is."""


def agree(told: Mixture, users: int) -> Agreed:
    """What the stations of each user agree on.

    Args:
        told: of links, user by user, each with equally many; a link that is not there has no part.
        users: how many there are.
    """
    stations = len(told.weight) // users
    told = told.strongest(min(told.weight.shape[1], max(LEAST, ALL // stations)))
    weight = told.weight.double().view(users, stations, -1)
    place = told.place.double().view(*weight.shape, 2)
    scale = told.scale.double().view(*weight.shape, 2, 2)
    covariance = scale @ scale.mT
    parts = stations * weight.shape[-1]
    together = max(1, PAIRS // parts**2)
    return _join(
        _agree(weight[rows], place[rows], covariance[rows]) for rows in _slices(users, together)
    )


def median(
    share: Float[Tensor, "link part"],
    place: Float[Tensor, "link part 2"],
    covariance: Float[Tensor, "link part 2 2"],
) -> Float[Tensor, "link 2"]:
    """Where the expected distance to a mixture's places is least, by Weiszfeld's iteration.

    Between two streets the mean stands in a house; this stands in the likelier street.
    """
    spread = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    found = (share[..., None] * place).sum(1)
    for _ in range(TURNS):
        distance = ((place - found[:, None]).square().sum(-1) + spread).sqrt()
        pull = share / distance
        found = (pull[..., None] * place).sum(1) / pull.sum(1, keepdim=True)
    return found


def _agree(
    weight: Float[Tensor, "user station part"],
    place: Float[Tensor, "user station part 2"],
    covariance: Float[Tensor, "user station part 2 2"],
) -> Agreed:
    here, spread = place.flatten(1, 2), covariance.flatten(1, 2)
    said = _density(here, spread, weight, place, covariance)
    own = torch.arange(said.shape[1], device=said.device) // weight.shape[-1]
    own = own.expand(len(said), -1)[..., None]
    told = (1 - (math.log(LOST / AREA) - said).exp()).scatter(2, own, 1.0)
    share = (weight.flatten(1) + said.scatter(2, own, 0.0).sum(-1)).softmax(-1)
    found = median(share, here, spread)
    off = here - found[:, None]
    whole = (share[..., None, None] * (spread + off[..., :, None] * off[..., None, :])).sum(1)
    return Agreed(found, whole, (share[..., None] * told).sum(1))


def _density(
    here: Float[Tensor, "user at 2"],
    spread: Float[Tensor, "user at 2 2"],
    weight: Float[Tensor, "user station part"],
    place: Float[Tensor, "user station part 2"],
    covariance: Float[Tensor, "user station part 2 2"],
) -> Float[Tensor, "user at station"]:
    """Logarithms of what each station says of places that are known to within a covariance."""
    # Of two rows and columns, written out: the terms are the largest tensors here.
    xx, xy, yy = (
        spread[:, :, None, None, i, j] + covariance[:, None, ..., i, j]
        for i, j in ((0, 0), (0, 1), (1, 1))
    )
    x, y = (here[:, :, None, None, i] - place[:, None, ..., i] for i in (0, 1))
    size = xx * yy - xy.square()
    length = (yy * x.square() - 2 * xy * x * y + xx * y.square()) / size
    density = -(3 * length).sqrt() - 0.5 * size.log() - math.log(2 * math.pi / 3)
    told = torch.logsumexp(weight[:, None] + density, -1) + math.log(1 - LOST)
    return torch.logaddexp(told, told.new_full((), math.log(LOST / AREA)))


def _slices(count: int, together: int) -> Iterator[slice]:
    return (slice(first, first + together) for first in range(0, count, together))


def _join(parts: Iterator[Agreed]) -> Agreed:
    each = list(parts)
    names = ("position", "covariance", "belief")
    return Agreed(*(torch.cat([getattr(part, name) for part in each]) for name in names))
