"""Localizers in real arithmetic: what ONNX can say of them, from raw CSI to a calibrated fix.

Sizes are asked of `shape`: an exporter takes what `len` says for a number that never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from radiofix.models.frame import AHEAD, FAR, REACH, FrameHead
from radiofix.models.heads import FusionHead, PositionHead
from radiofix.models.kriging import to_scene
from radiofix.models.latent import Latent
from radiofix.models.layers import EncoderLayer
from radiofix.models.localizer import Localizer
from radiofix.models.lwlm import LwlmEncoder
from radiofix.models.patches import MEGAHERTZ, WAVELENGTHS
from radiofix.models.radiofix import RadiofixEncoder, told_features
from radiofix.models.resnet import ResNetEncoder
from radiofix.physics.presence import readable
from radiofix.physics.rotation import rotation
from radiofix.serving.onnx.waves import (
    RealSounding,
    RealWave,
    bridged,
    from_wave,
    shows_a_wave,
    strongest_wave,
)
from radiofix.types import Sounding


class RealLocalizer(nn.Module):
    """Both parts of CSI, its band, its array and its station to a position, as `Localizer.fix`."""

    def __init__(self, localizer: Localizer) -> None:
        super().__init__()
        encoder, head = localizer.encoder, localizer.head
        if isinstance(head, FusionHead):
            head = head.estimator
        self.encoder: nn.Module = _made(ENCODERS, encoder)
        self.head: nn.Module = _made(HEADS, head)
        self.kriging = localizer.kriging
        self.calibration = localizer.calibration

    def forward(
        self,
        csi_real: Float[Tensor, "link antenna subcarrier"],
        csi_imag: Float[Tensor, "link antenna subcarrier"],
        frequency: Float[Tensor, "link subcarrier"],
        antenna: Float[Tensor, "link antenna 3"],
        station_position: Float[Tensor, "link 3"],
        station_orientation: Float[Tensor, "link 3"],
    ) -> tuple[Float[Tensor, "link 3"], Float[Tensor, "link 3 3"], Bool[Tensor, " link"]]:
        """Position [m], covariance [m^2], and whether to believe them."""
        given = RealSounding(
            csi_real, csi_imag, frequency, antenna, station_position, station_orientation
        )
        heard = readable(given.power)
        sounding = given.where(heard)
        latent = self.encoder(sounding)
        position, horizontal = self.head(latent, sounding)
        if self.kriging.fitted:
            move, share = self.kriging.correction(latent.summary)
            move = to_scene(move, sounding.station_orientation)
            position = position + F.pad(move, (0, 1))
            horizontal = horizontal * share[:, None, None]
        covariance = F.pad(horizontal * self.calibration.stretch.square(), (0, 1, 0, 1))
        height = self.calibration.height_deviation.square() * _corner(covariance)
        white = (latent.summary.double() - self.calibration.middle) @ self.calibration.whitening.T
        known = white.square().sum(-1).sqrt() <= self.calibration.threshold
        wave = strongest_wave(sounding) if latent.wave is None else latent.wave
        return (
            torch.where(heard[:, None], position, torch.nan),
            torch.where(heard[:, None, None], covariance + height, torch.nan),
            known & heard & shows_a_wave(sounding, wave),
        )


class RealRadiofixEncoder(nn.Module):
    """`RadiofixEncoder` on two real tensors."""

    def __init__(self, encoder: RadiofixEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, sounding: RealSounding) -> Latent:
        """Encodes each link by itself."""
        encoder = self.encoder
        wave, power = strongest_wave(sounding), sounding.power
        plain = cast(Sounding, sounding)
        told = told_features(plain, cast(Any, wave), power)
        tokens = encoder.tokens
        seen = bridged(from_wave(sounding, wave))
        planes = torch.stack([*seen.at_unit_power(power), seen.seen], -1)
        patches = tokens.values(_cut(planes, *tokens.patch))
        patches = patches + tokens.place(_places(sounding, *tokens.patch))
        summary = encoder.summary + encoder.told(told)
        if encoder.memory is not None:
            summary = summary + encoder.memory(plain)
        sequence = torch.cat([summary[:, None], patches], 1)
        for block in encoder.blocks:
            sequence = block(sequence)
        sequence = encoder.norm(sequence[:, :1])
        return _latent(sequence[:, 0], wave)


class RealLwlmEncoder(nn.Module):
    """`LwlmEncoder` on two real tensors, for its own number of antennas and subcarriers."""

    def __init__(self, encoder: LwlmEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, sounding: RealSounding) -> Latent:
        """Encodes each link by itself, at unit observed power."""
        real, imaginary = sounding.at_unit_power(sounding.power)
        # atan2(0, -0) is pi: where nothing was observed the phase is 0.
        phase = torch.atan2(imaginary, real) * sounding.seen
        magnitude = (real.square() + imaginary.square()).sqrt()
        patches = self.encoder.patches(torch.stack([magnitude, phase], 1)).flatten(2)
        patches = patches.transpose(1, 2)
        first = self.encoder.lst.expand(patches.shape[0], 1, -1)
        tokens = torch.cat([first, patches], 1) + self.encoder.positions
        for layer in self.encoder.layers:
            assert isinstance(layer, EncoderLayer)
            tokens = _enriched(layer, tokens)
        return _latent(self.encoder.norm(tokens[:, 0]))


class RealResNetEncoder(nn.Module):
    """`ResNetEncoder` on two real tensors."""

    def __init__(self, encoder: ResNetEncoder) -> None:
        super().__init__()
        self.network = encoder.network

    def forward(self, sounding: RealSounding) -> Latent:
        """Encodes each link by itself."""
        planes = torch.stack(sounding.at_unit_power(sounding.power), 1)
        latent: Latent = self.network(planes)
        return latent


class RealFrameHead(nn.Module):
    """`FrameHead` with the covariance itself: ONNX takes no Cholesky factors."""

    def __init__(self, head: FrameHead) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, latent: Latent, sounding: RealSounding
    ) -> tuple[Float[Tensor, "link 3"], Float[Tensor, "link 2 2"]]:
        """Position and horizontal covariance in the scene."""
        wave = latent.wave
        way = latent.summary[:, :1] * 0 if wave is None else wave.range[:, None] / FAR
        output = self.head.output(self.head.hidden(latent.summary)).double()
        turn = rotation(sounding.station_orientation)
        toward = torch.stack([output[:, 1] + AHEAD, output[:, 2]], -1)
        length = toward.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-6)
        level = (REACH * output[:, :1] + FAR * way.double()) * toward / length
        moved = (turn[:, :2, :2] @ level[..., None])[..., 0] + sounding.station_position[:, :2]
        height = self.head.height.expand(output.shape[0], 1)
        factor = turn[:, :2, :2] @ _lower_factor(output[:, 3:])
        return torch.cat([moved, height], -1), factor @ factor.mT


class RealPositionHead(nn.Module):
    """`PositionHead`, whose links all have the same circle."""

    def __init__(self, head: PositionHead) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, latent: Latent, sounding: RealSounding
    ) -> tuple[Float[Tensor, "link 3"], Float[Tensor, "link 2 2"]]:
        """Position and horizontal covariance in the scene."""
        regressor = self.head.regressor
        told = latent.summary + regressor.configuration(cast(Sounding, sounding))
        outputs = regressor.output(regressor.hidden(told).relu())
        position = self.head.label.undo(F.pad(outputs, (0, 1)))
        circle = torch.eye(2, dtype=torch.float64).expand(position.shape[0], 2, 2)
        return position, circle


ENCODERS: Mapping[type[nn.Module], Callable[[Any], nn.Module]] = {
    RadiofixEncoder: RealRadiofixEncoder,
    LwlmEncoder: RealLwlmEncoder,
    ResNetEncoder: RealResNetEncoder,
}
HEADS: Mapping[type[nn.Module], Callable[[Any], nn.Module]] = {
    FrameHead: RealFrameHead,
    PositionHead: RealPositionHead,
}


def _made(known: Mapping[type[nn.Module], Callable[[Any], nn.Module]], part: Any) -> nn.Module:
    if type(part) not in known:
        names = ", ".join(kind.__name__ for kind in known)
        raise ValueError(f"{type(part).__name__} is not exported: only {names} are")
    return known[type(part)](part)


def _latent(summary: Float[Tensor, "link dim"], wave: RealWave | None = None) -> Latent:
    """What heads read: no tokens, and a wave whose gain nobody asks for."""
    return Latent(summary, summary[:, None], cast(Any, wave))


def _enriched(
    layer: EncoderLayer, tokens: Float[Tensor, "link token dim"]
) -> Float[Tensor, "link token dim"]:
    """`EncoderLayer` in evaluation: its attention asks `len`, which is fixed once exported."""
    attention = layer.self_attn
    projected = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    parted = torch.unflatten(projected, -1, (3, attention.num_heads, -1))
    split = parted.permute(2, 0, 3, 1, 4)
    query, key, value = split.unbind(0)
    looks = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    mixed = (looks.softmax(-1) @ value).transpose(1, 2).flatten(2)
    tokens = layer.norm1(tokens + attention.out_proj(mixed))
    enriched: Tensor = layer.norm2(tokens + layer.linear2(layer.linear1(tokens).relu()))
    return enriched


def _corner(like: Float[Tensor, "link 3 3"]) -> Float[Tensor, "3 3"]:
    """1 where a covariance has the height's variance, 0 elsewhere."""
    corner = torch.zeros(3, 3, dtype=like.dtype)
    corner[2, 2] = 1
    return corner


def _lower_factor(raw: Float[Tensor, "link 3"]) -> Float[Tensor, "link 2 2"]:
    """`radiofix.models.frame.lower_factor`, put together at once."""
    deviation = 10 * torch.exp(6.2 * torch.tanh(raw[:, :2] / 6.2))
    first, second = deviation.unbind(-1)
    rows = [first, torch.zeros_like(first), raw[:, 2] * second, second]
    return torch.unflatten(torch.stack(rows, -1), -1, (2, 2))


def _cut(
    planes: Float[Tensor, "link antenna subcarrier 3"], antennas: int, subcarriers: int
) -> Float[Tensor, "link patch value"]:
    """`radiofix.models.patches.cut` of planes, in shapes that an exporter can follow."""
    rows, columns = _groups(planes.shape[1], antennas), _groups(planes.shape[2], subcarriers)
    padded = F.pad(planes, (0, 0, 0, subcarriers - 1, 0, antennas - 1))
    whole = padded[:, : rows * antennas, : columns * subcarriers]
    across = torch.unflatten(whole, 2, (columns, subcarriers))
    grid = torch.unflatten(across, 1, (rows, antennas))
    return grid.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)


def _places(
    sounding: RealSounding, antennas: int, subcarriers: int
) -> Float[Tensor, "link patch feature"]:
    """`radiofix.models.patches.places`, likewise."""
    antenna, antenna_step = _middles(sounding.antenna, antennas)
    frequency, frequency_step = _middles(sounding.frequency[..., None] / 1e6, subcarriers)
    rows = torch.cat([_waves(antenna, WAVELENGTHS), antenna_step], -1)[:, :, None]
    columns = torch.cat([_waves(frequency, MEGAHERTZ), frequency_step], -1)[:, None]
    links, height, width = rows.shape[0], rows.shape[1], columns.shape[2]
    features = [rows.expand(links, height, width, -1), columns.expand(links, height, width, -1)]
    return torch.cat(features, -1).flatten(1, 2)


def _groups(count: int, size: int) -> int:
    return (count + size - 1) // size


def _middles(
    values: Float[Tensor, "link entry axis"], size: int
) -> tuple[Float[Tensor, "link group axis"], Float[Tensor, "link group axis"]]:
    groups = _groups(values.shape[1], size)
    padded = torch.cat([values, values[:, -1:].expand(-1, size - 1, -1)], 1)
    grouped = torch.unflatten(padded[:, : groups * size], 1, (groups, size))
    return grouped.mean(2), (grouped[:, :, -1] - grouped[:, :, 0]) / max(1, size - 1)


def _waves(
    values: Float[Tensor, "link group axis"], periods: tuple[float, ...]
) -> Float[Tensor, "link group feature"]:
    turn = 2 * torch.pi * values[..., None] / values.new_tensor(periods)
    return torch.cat([turn.sin(), turn.cos()], -1).flatten(2)
