"""ResNet-34 on channels, the convolutional baseline: for one station, or several stacked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from radiofix.models.latent import Latent, unit_power
from radiofix.types import Sounding

STEM = 64
WIDTHS = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a way around them, which is 1 x 1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride)
        self.second = _convolution(outputs, outputs, 3, 1)
        changed = stride != 1 or inputs != outputs
        self.around = _convolution(inputs, outputs, 1, stride) if changed else nn.Identity()

    def forward(self, features: Float[Tensor, "n in row column"]) -> Float[Tensor, "n out _ _"]:
        """The features, enriched."""
        updated = self.second(self.first(features).relu())
        enriched: Tensor = (updated + self.around(features)).relu()
        return enriched


class ResNet34(nn.Module):
    """The network of He et al. (2016) without its last, linear layer; a latent is 512 wide.

    With three planes it has the original's 21,284,672 parameters; each plane less takes 3,136 off.
    """

    dim = WIDTHS[-1]

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.stem = _convolution(planes, STEM, 7, 2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = (STEM, *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            _stage(i, o, n, stride=1 if o == STEM else 2)
            for i, o, n in zip(inputs, WIDTHS, BLOCKS, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                # Kernels for channels that lie next to each other are a fifth faster.
                weight = module.weight.data
                module.weight.data = weight.contiguous(memory_format=torch.channels_last)

    def forward(self, planes: Float[Tensor, "n plane row column"]) -> Latent:
        """The mean of the last feature map, and its cells."""
        beside = planes.contiguous(memory_format=torch.channels_last)
        features = self.pool(self.stem(beside).relu())
        for stage in self.stages:
            features = stage(features)
        cells = features.flatten(2).transpose(1, 2)
        return Latent(cells.mean(1), cells)


class ResNetEncoder(nn.Module):
    """ResNet-34 on the real and imaginary part of each link at unit power.

    21,281,536 parameters; with a linear layer to two coordinates 21,282,562, the 21.28 M that the
    LWLM paper states.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNet34(2)
        self.dim = self.network.dim

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes each link by itself."""
        latent: Latent = self.network(parts(unit_power(sounding.csi)[:, None]))
        return latent


class StackedResNetEncoder(nn.Module):
    """ResNet-34 on all stations' links of a user at once, each at unit power, stacked as planes.

    All links of a user get the same latent, so every soundings' batch must hold whole users.
    """

    columns: Int[Tensor, " station"]

    def __init__(self, stations: Sequence[int]) -> None:
        """Takes the stations, each of which has planes of its own.

        Args:
            stations: columns of the store; a user's missing stations are zeros.
        """
        super().__init__()
        if len(set(stations)) != len(stations) or not stations:
            raise ValueError(f"stations={list(stations)} must be one or more, each named once")
        self.register_buffer("columns", torch.tensor(list(stations)))
        self.network = ResNet34(2 * len(stations))
        self.dim = self.network.dim

    def forward(self, sounding: Sounding) -> Latent:
        """Encodes the users of the links."""
        users, owner = torch.unique(sounding.user, return_inverse=True)
        column = self._column(sounding)
        shape = (len(users), len(self.columns))
        _expect_single(sounding, owner * shape[1] + column)
        stack = sounding.csi.new_zeros(*shape, *sounding.csi.shape[1:])
        stack[owner, column] = unit_power(sounding.csi)
        latent: Latent = self.network(parts(stack))
        return Latent(latent.summary.index_select(0, owner), latent.tokens.index_select(0, owner))

    def _column(self, sounding: Sounding) -> Int[Tensor, " link"]:
        match = sounding.station[:, None] == self.columns
        known = match.any(-1)
        if not bool(known.all()):
            stranger = int(sounding.station[~known][0])
            raise ValueError(
                f"station {stranger} has no planes, only {self.columns.tolist()} have: "
                "leave its links out, or name it among the encoder's stations"
            )
        return match.long().argmax(-1)


def parts(
    csi: Complex[Tensor, "n station antenna subcarrier"],
) -> Float[Tensor, "n 2*station antenna subcarrier"]:
    """Real and imaginary part of each station as planes, float32."""
    return torch.view_as_real(csi).float().permute(0, 1, 4, 2, 3).flatten(1, 2)


def _expect_single(sounding: Sounding, place: Int[Tensor, " link"]) -> None:
    order = place.argsort()
    twice = place[order][1:] == place[order][:-1]
    if bool(twice.any()):
        link = int(order[1:][twice][0])
        raise ValueError(
            f"user {int(sounding.user[link])} has two links to station "
            f"{int(sounding.station[link])} in one batch: stations stacked as planes take one"
        )


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, and batch normalisation."""
    kernel = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(kernel, nn.BatchNorm2d(outputs))
