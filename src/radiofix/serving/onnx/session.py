"""What stands between a sounding and ONNX Runtime: names, types, threads."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radiofix.physics.strongest import FINER, count_beams
from radiofix.types import Fix, Sounding

INPUTS = (
    "csi_real",
    "csi_imag",
    "frequency",
    "antenna",
    "station_position",
    "station_orientation",
)
OUTPUTS = ("position", "covariance", "trusted")
REVISION = 3
"""Of what the graph answers: files of other ones, kept from before, are not taken for this one."""
LOOKS_FOR_WAVES = "looks for waves"
"""Fact of models for which a panel is heard as one row."""
NEEDED = "pip install 'radiofix[export]'"


def tensors_of(sounding: Sounding) -> tuple[Tensor, ...]:
    """A sounding as `INPUTS` has it."""
    return (
        sounding.csi.real.contiguous().float(),
        sounding.csi.imag.contiguous().float(),
        sounding.frequency.contiguous().float(),
        sounding.antenna.contiguous().float(),
        sounding.station_position.contiguous().double(),
        sounding.station_orientation.contiguous().double(),
    )


class Session:
    """An ONNX file of ours, opened; a call takes one thread, and calls may go side by side."""

    def __init__(self, path: str | Path) -> None:
        """Opens it.

        Args:
            path: of a file that `radiofix export` wrote.
        """
        runtime = needed("onnxruntime")
        options = runtime.SessionOptions()
        # Two threads within an operation cost half as much again as one; calls side by side do not.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has a class of its own for each failure
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{path} cannot be read as an ONNX model: {reason}") from error
        names = tuple(entry.name for entry in self._session.get_inputs())
        if names != INPUTS or self.facts.get("producer") != "radiofix":
            raise ValueError(f"{path} is no model that radiofix export has written")

    @property
    def facts(self) -> dict[str, str]:
        """What the file says of itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def looks_for_waves(self) -> bool:
        """Whether a panel is to be heard as one row."""
        return LOOKS_FOR_WAVES in self.facts

    def run(self, sounding: Sounding) -> Fix:
        """Fixes of all links at once."""
        antennas, subcarriers = sounding.csi.shape[1:]
        if count_beams(sounding.antenna) > FINER * antennas:
            raise ValueError(
                f"{antennas} antennas stand further than half a wavelength apart: of these an "
                "ONNX model hears too little, locate with the model itself"
            )
        given = dict(zip(INPUTS, (t.numpy() for t in tensors_of(sounding)), strict=True))
        try:
            position, covariance, trusted = self._session.run(OUTPUTS, given)
        except Exception as error:  # likewise
            raise ValueError(
                f"csi of {antennas} antennas and {subcarriers} subcarriers does not suit the "
                f"model: it takes {self.facts.get('antennas')} and {self.facts.get('subcarriers')}"
            ) from error
        return Fix(_tensor(position), _tensor(covariance), _tensor(trusted))


def needed(module: str) -> Any:
    """A module of the extra `export`."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(f"ONNX needs {module}: {NEEDED}") from None


def _tensor(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values)
