"""Views of a channel as SWiT takes them: a part of the band, resized, mirrored, scaled, faded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from radiofix.types import Sounding


@dataclass(frozen=True)
class SwitViews:
    """How many views there are, how much of the band each has, and how it is changed."""

    shares: tuple[float, ...] = (0.9, 0.8)
    """Of the band, in each global view; the last of them fades and may change its sign."""
    subcarriers: int = 36
    """That global views are resized to."""
    local_views: int = 8
    local_share: float = 0.1
    local_subcarriers: int = 16
    mirrored: float = 0.4
    """Share of links whose subcarriers are put in reverse."""
    gain: float = 0.1
    """Each link's amplitude is multiplied by 1 plus or minus at most this."""
    fading: float = 0.1
    """Deviation of the factor on each entry's magnitude."""

    def __post_init__(self) -> None:
        for share in (*self.shares, self.local_share):
            if not 0 < share <= 1:
                raise ValueError(f"a view's share must lie in (0, 1], got {share:g}")
        if not self.shares or len(self.shares) + self.local_views < 2:
            raise ValueError("one view has no other to agree with: give two or more")
        for name in ("subcarriers", "local_subcarriers"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")

    def draw(self, sounding: Sounding, generator: torch.Generator) -> tuple[Sounding, ...]:
        """All views of each link, global ones first."""
        whole = [self._view(sounding, s, self.subcarriers, generator) for s in self.shares]
        whole[-1] = whole[-1].with_csi(faded(whole[-1].csi, self.fading, generator))
        local = [
            self._view(sounding, self.local_share, self.local_subcarriers, generator)
            for _ in range(self.local_views)
        ]
        return (*whole, *local)

    def _view(
        self, sounding: Sounding, share: float, subcarriers: int, generator: torch.Generator
    ) -> Sounding:
        view = cropped(sounding, share, subcarriers, generator)
        links, device = len(view), generator.device
        turned = torch.rand(links, generator=generator, device=device) < self.mirrored
        gain = 1 + self.gain * (2 * torch.rand(links, generator=generator, device=device) - 1)
        csi = torch.where(turned[:, None, None], view.csi.flip(-1), view.csi)
        return view.with_csi(csi * gain[:, None, None])


def cropped(
    sounding: Sounding, share: float, subcarriers: int, generator: torch.Generator
) -> Sounding:
    """A share of each link's band in one piece, begun anywhere, at so many subcarriers."""
    links, _, count = sounding.csi.shape
    width = max(2, round(share * count))
    device = generator.device
    start = torch.randint(count - width + 1, (links, 1), generator=generator, device=device)
    place = start + torch.linspace(0, width - 1, subcarriers, device=device)
    frequency = _between(sounding.frequency[:, None], place)[:, 0]
    return dataclasses.replace(sounding, csi=resized(sounding.csi, place), frequency=frequency)


def resized(
    csi: Complex[Tensor, "link antenna subcarrier"], place: Float[Tensor, "link point"]
) -> Complex[Tensor, "link antenna point"]:
    """CSI at places between subcarriers, along straight lines once the mean delay is off.

    Between subcarriers whose phases differ by much, straight lines alone would lose the amplitude.
    """
    slope = (csi[..., 1:] * csi[..., :-1].conj()).sum((1, 2)).angle()[:, None]
    index = torch.arange(csi.shape[-1], device=csi.device)
    undelayed = csi * _turned(-slope * index)[:, None]
    return _between(undelayed, place) * _turned(slope * place)[:, None]


def faded(
    csi: Complex[Tensor, "link antenna subcarrier"], deviation: float, generator: torch.Generator
) -> Complex[Tensor, "link antenna subcarrier"]:
    """Random magnitudes about the true ones, never below 0, and a sign for each link."""
    device = generator.device
    factor = 1 + deviation * torch.randn(csi.shape, generator=generator, device=device)
    sign = 1 - 2 * torch.randint(2, (len(csi), 1, 1), generator=generator, device=device)
    return csi * factor.clamp(min=0) * sign


def _between(values: Tensor, place: Float[Tensor, "link point"]) -> Tensor:
    """Values (link, row, subcarrier) at places (link, row, point), along straight lines."""
    low = place.floor().long().clamp(max=values.shape[-1] - 2)
    at = low[:, None].expand(-1, values.shape[1], -1)
    before, after = values.gather(2, at), values.gather(2, at + 1)
    return before + (after - before) * (place - low)[:, None]


def _turned(phase: Float[Tensor, "link point"]) -> Complex[Tensor, "link point"]:
    return torch.polar(torch.ones_like(phase), phase)
