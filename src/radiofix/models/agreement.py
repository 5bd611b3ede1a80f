"""One place from what several stations hold probable, each of many places: what they agree on.

Station s says that its user is at x with the density

    p_s(x) = (1 - e) sum_k w_sk f(x - x_sk; C_sk) + e / A,

f being the law by which places are taught (`surprise` in objectives/tasks.py) and e the share of
links that tell nothing of where their user is. Stations err each for itself, so that the densities
multiply. The product has too many parts to be written down; it is taken from each part of each
station: from part (s, k) the others' parts weigh

    r_tl = w_tl f(x_sk - x_tl; C_sk + C_tl),

station t tells of a user there with the probability

    b_t = (1 - e) sum_l r_tl / q_t,    q_t = (1 - e) sum_l r_tl + e / A,

and the part itself weighs w_sk prod_{t != s} q_t.

Its place is that of the information of all: of its own (x_sk, C_sk), and of the mean and covariance
of each other station's parts under r_tl, weighed by b_t. For two normal densities that is exact. A
place that one station held improbable wins where the others have one beside it; joining single
places by their covariances cannot find it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    # Squares of places are taken: near 0 they are exact. Parts that are not there are anywhere.
    there = weight.isfinite()[..., None]
    known = there.sum((1, 2), keepdim=True).clamp(min=1)
    middle = (place * there).sum((1, 2), keepdim=True) / known
    place, covariance = (place - middle) * there, scale @ scale.mT
    parts = stations * weight.shape[-1]
    together = max(1, PAIRS // parts**2)
    found = _join(
        _agree(weight[rows], place[rows], covariance[rows]) for rows in _slices(users, together)
    )
    return replace(found, position=found.position + middle[:, 0, 0])


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


@dataclass(frozen=True, slots=True)
class _Heard:
    """What each station says beside each part of a user's links."""

    said: Float[Tensor, "user part station"]
    """Logarithm of its density there."""
    belief: Float[Tensor, "user part station"]
    """How probable it is that it tells of a user there."""
    place: Float[Tensor, "user part station 2"]
    """Mean of its places, as far as they are near."""
    covariance: Float[Tensor, "user part station 2 2"]
    """Of these."""


def _agree(
    weight: Float[Tensor, "user station part"],
    place: Float[Tensor, "user station part 2"],
    covariance: Float[Tensor, "user station part 2 2"],
) -> Agreed:
    here, spread = place.flatten(1, 2), covariance.flatten(1, 2)
    heard = _hear(here, spread, weight, place, covariance)
    stations = weight.shape[1]
    others = ~torch.eye(stations, dtype=torch.bool, device=weight.device)
    others = others.repeat_interleave(weight.shape[2], 0)
    said = heard.said.where(others, 0.0).sum(-1)
    share = (weight.flatten(1) + said).softmax(-1)
    belief = heard.belief.where(others, 0.0)
    known = _inverse(spread)
    told = belief[..., None, None] * _inverse(heard.covariance)
    left = _inverse(known + told.sum(2))
    pull = (known @ here[..., None]) + (told @ heard.place[..., None]).sum(2)
    moved = (left @ pull)[..., 0]
    found = median(share, moved, left)
    off = moved - found[:, None]
    whole = (share[..., None, None] * (left + off[..., :, None] * off[..., None, :])).sum(1)
    # Of itself a station says nothing: it is believed as far as the others' places are its own.
    theirs = share[..., None] * others
    return Agreed(found, whole, (theirs * belief).sum(1) / theirs.sum(1).clamp(min=1e-300))


def _hear(
    here: Float[Tensor, "user at 2"],
    spread: Float[Tensor, "user at 2 2"],
    weight: Float[Tensor, "user station part"],
    place: Float[Tensor, "user station part 2"],
    covariance: Float[Tensor, "user station part 2 2"],
) -> _Heard:
    # Of two rows and columns, written out: the terms are the largest tensors here.
    xx, xy, yy = (
        spread[:, :, None, None, i, j] + covariance[:, None, ..., i, j]
        for i, j in ((0, 0), (0, 1), (1, 1))
    )
    x, y = (here[:, :, None, None, i] - place[:, None, ..., i] for i in (0, 1))
    size = xx * yy - xy.square()
    length = (yy * x.square() - 2 * xy * x * y + xx * y.square()) / size
    near = weight[:, None] - (3 * length).sqrt() - 0.5 * size.log()
    total = torch.logsumexp(near, -1)
    # A link that is not there has no part that could be near.
    share = (near - total[..., None]).exp().where(total.isfinite()[..., None], 0.0)
    mean = torch.einsum("uask,uskc->uasc", share, place)
    second = covariance + place[..., :, None] * place[..., None, :]
    second = torch.einsum("uask,uskcd->uascd", share, second)
    matched = second - mean[..., :, None] * mean[..., None, :]
    told = total - math.log(2 * math.pi / 3) + math.log(1 - LOST)
    said = torch.logaddexp(told, told.new_full((), math.log(LOST / AREA)))
    one = torch.eye(2, dtype=matched.dtype, device=matched.device)
    matched = matched.where(total.isfinite()[..., None, None], one)
    return _Heard(said, (told - said).exp(), mean, matched)


def _inverse(matrix: Float[Tensor, "*batch 2 2"]) -> Float[Tensor, "*batch 2 2"]:
    """Of symmetric matrices; written out, as a library's call costs more than the sums."""
    xx, xy, yy = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 1]
    turned = torch.stack([torch.stack([yy, -xy], -1), torch.stack([-xy, xx], -1)], -2)
    return turned / (xx * yy - xy.square())[..., None, None]


def _slices(count: int, together: int) -> Iterator[slice]:
    return (slice(first, first + together) for first in range(0, count, together))


def _join(parts: Iterator[Agreed]) -> Agreed:
    each = list(parts)
    names = ("position", "covariance", "belief")
    return Agreed(*(torch.cat([getattr(part, name) for part in each]) for name in names))
