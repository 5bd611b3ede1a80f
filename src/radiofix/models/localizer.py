"""An encoder and a head: channels to positions with an honest uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor, nn

from radiofix.models.agreement import PARTS
from radiofix.models.calibration import Calibration
from radiofix.models.heads import Estimate
from radiofix.models.kriging import Kriging, to_station
from radiofix.models.latent import Encoder, Latent, observed_power
from radiofix.physics.channel import Channel
from radiofix.physics.panels import by_arrangement, in_line
from radiofix.physics.presence import readable, shows_a_wave
from radiofix.physics.strongest import strongest_wave
from radiofix.types import Fix, Sounding, Station, Truth

LINKS = 128
"""Located at a time."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a trained localizer beside its weights."""

    config: Mapping[str, Any]
    """Its parts, by which it can be made again, and the run it comes from."""
    card: str
    """To be read, in Markdown."""


class Localizer(nn.Module):
    """Channels to what its head makes of them; with a position head, to fixes."""

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.kriging = Kriging(encoder.dim)
        self.calibration = Calibration(encoder.dim)
        self.record: Record | None = None

    @property
    def looks_for_waves(self) -> bool:
        """Whether its encoder sees a channel from its waves; a panel is then heard as one row."""
        return bool(getattr(self.encoder, "looks_for_waves", False))

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Localizer:
        """A trained localizer out of a folder or off the Hugging Face Hub.

        Args:
            name: a folder that `save_pretrained` wrote, or an id, "owner/name".
            options: of huggingface_hub: revision, token, cache_dir, local_files_only ...
        """
        from radiofix.models.hub import Shipment

        return Shipment.from_pretrained(str(name), **options).localizer

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Writes weights, config and card into a folder that `radiofix.load` takes.

        Args:
            folder: made if it is not there.
            options: of huggingface_hub's mixin.
        """
        from radiofix.models.hub import Shipment

        Shipment(self).save_pretrained(folder, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Puts weights, config and card on the Hugging Face Hub; the URL of the commit.

        Args:
            repo_id: "owner/name".
            options: of huggingface_hub: private, token, commit_message, branch ...
        """
        from radiofix.models.hub import Shipment

        return str(Shipment(self).push_to_hub(repo_id, **options))

    def forward(self, sounding: Sounding) -> Any:
        """What the head makes of each link, moved by what labelled links have told."""
        sounding = self._seen(sounding)
        latent = self.encoder(sounding)
        output = self.head(latent, sounding)
        return self._moved(output, latent, sounding) if isinstance(output, Estimate) else output

    def locate(
        self,
        csi: Tensor | ArrayLike,
        stations: Station | Sequence[Station],
        channel: Channel,
    ) -> Fix:
        """Where the user of each link stands.

        Args:
            csi: complex (link, antenna, subcarrier), a tensor or an array: linear amplitude, zeros
                where nothing was observed.
            stations: that received it: one for all links or one for each.
            channel: its band and its array; noise and faults in it mean nothing here.
        """
        return self.fix(channel.describe(csi, stations))

    @torch.no_grad()
    def fix(self, sounding: Sounding) -> Fix:
        """Where the user of each link stands, in bounded memory.

        A link of zeros, or with a value that is not finite, is nowhere: its position is NaN.
        """
        if not len(sounding):
            return Fix.nowhere(0, sounding.csi.device)
        learning = self.training
        self.eval()
        found = by_arrangement(sounding, self._in_parts)
        self.train(learning)
        return found

    def _in_parts(self, sounding: Sounding) -> Fix:
        starts = range(0, len(sounding), LINKS)
        return Fix.join([self._heard(sounding[slice(at, at + LINKS)]) for at in starts])

    @torch.no_grad()
    def krige(
        self,
        labelled: Iterable[tuple[Sounding, Truth]],
        validation: Iterable[tuple[Sounding, Truth]],
    ) -> None:
        """Learns where it is off among labelled links, if that brings validation links nearer.

        No step of training, but minutes of work for ten thousand links. Calibrate afterwards: a
        covariance is stated of what is left.
        """
        learning = self.training
        self.eval()
        self.kriging = Kriging(self.encoder.dim).to(self.kriging.known.device)
        known, held_out = self._missed(labelled), self._missed(validation)
        self.kriging.fit(*known, *held_out)
        self.train(learning)

    @torch.no_grad()
    def calibrate(
        self, training: Iterable[Sounding], validation: Iterable[tuple[Sounding, Truth]]
    ) -> None:
        """Makes uncertainty honest, by links trained on and by labelled ones held out."""
        learning = self.training
        self.eval()
        known = torch.cat([self._encode(self._seen(s)).summary for s in training])
        features, errors, scales = [], [], []
        for told, truth in validation:
            sounding = self._seen(told)
            latent = self._encode(sounding)
            estimate = self._place(latent, sounding)
            features.append(latent.summary)
            errors.append((estimate.position - truth.position).double())
            scales.append(horizontal_scale(estimate))
        error = torch.cat(errors)
        self.calibration.fit_ellipses(error[:, :2], torch.cat(scales))
        self.calibration.fit_height(error[:, 2])
        self.calibration.fit_features(known, torch.cat(features))
        self.train(learning)

    def _heard(self, sounding: Sounding) -> Fix:
        """Fixes of the links that hold something; the others are nowhere."""
        heard = readable(observed_power(sounding.csi))
        if bool(heard.all()):
            return self._fix(self._seen(sounding))
        if not bool(heard.any()):
            return Fix.nowhere(len(heard), heard.device)
        return self._fix(self._seen(sounding[heard])).among(heard)

    def _fix(self, sounding: Sounding) -> Fix:
        latent = self._encode(sounding)
        estimate = self._place(latent, sounding)
        wave = latent.wave
        if wave is None:
            wave = strongest_wave(sounding.csi, sounding.frequency, sounding.antenna)
        known = self.calibration.trusted(latent.summary)
        return Fix(
            estimate.position.double(),
            self.calibration.covariance(horizontal_scale(estimate)),
            known & shows_a_wave(sounding.csi, sounding.frequency, sounding.antenna, wave),
            None if estimate.mixture is None else estimate.mixture.strongest(PARTS),
        )

    def _missed(
        self, links: Iterable[tuple[Sounding, Truth]]
    ) -> tuple[Float[Tensor, "link dim"], Float[Tensor, "link 2"]]:
        """Summaries of links, and from the estimates to the truth in their stations' frames [m]."""
        summaries, errors = [], []
        for told, truth in links:
            sounding = self._seen(told)
            latent = self._encode(sounding)
            away = truth.position - self._place(latent, sounding).position
            summaries.append(latent.summary)
            errors.append(to_station(away[:, :2].double(), sounding.station_orientation))
        return torch.cat(summaries), torch.cat(errors)

    def _seen(self, sounding: Sounding) -> Sounding:
        """The links as the encoder wants them: a panel as one row, if it looks for waves."""
        return in_line(sounding) if self.looks_for_waves else sounding

    def _encode(self, sounding: Sounding) -> Latent:
        return self.encoder(sounding)

    def _place(self, latent: Latent, sounding: Sounding) -> Estimate:
        estimate = self.head(latent, sounding)
        if not isinstance(estimate, Estimate):
            raise ValueError(
                f"{type(self.head).__name__} gives no positions: locate with a position head"
            )
        return self._moved(estimate, latent, sounding)

    def _moved(self, estimate: Estimate, latent: Latent, sounding: Sounding) -> Estimate:
        moved: Estimate = self.kriging(estimate, latent.summary, sounding.station_orientation)
        return moved


def horizontal_scale(estimate: Estimate) -> Float[Tensor, "link 2 2"]:
    """The stated Cholesky factors; 1 m in every direction where a head states none."""
    if estimate.scale is not None:
        return estimate.scale.double()
    plain = torch.eye(2, dtype=torch.float64, device=estimate.position.device)
    return plain.expand(len(estimate.position), 2, 2)
