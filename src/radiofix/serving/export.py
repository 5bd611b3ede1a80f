"""Localizers to ONNX files, which are written only where they say what torch says."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from radiofix.data.store import PathStore
from radiofix.files import whole_file
from radiofix.models.localizer import Localizer
from radiofix.serving.onnx.accuracy import MOST, Accuracy, Cost, accuracy, labelled_links
from radiofix.serving.onnx.localizer import OnnxLocalizer
from radiofix.serving.onnx.networks import RealLocalizer
from radiofix.serving.onnx.quantizing import quantize
from radiofix.serving.onnx.session import (
    INPUTS,
    LOOKS_FOR_WAVES,
    OUTPUTS,
    needed,
    tensors_of,
)
from radiofix.serving.onnx.trials import TOLERANCE, Agreement, Trial, agreement, size_of, trials
from radiofix.serving.soundings import Reading
from radiofix.version import __version__

OPSET = 20
EXAMPLES = 2
"""Links that are traced."""
MEANING = {
    "csi_real": "(link, antenna, subcarrier) real part of the CSI, linear amplitude; 0: not seen",
    "csi_imag": "(link, antenna, subcarrier) imaginary part",
    "frequency": "(link, subcarrier) of each subcarrier, from the carrier [Hz]",
    "antenna": "(link, antenna, 3) in the station's frame [wavelengths of the carrier]",
    "station_position": "(link, 3) scene frame [m]",
    "station_orientation": "(link, 3) yaw, pitch, roll [rad]",
    "position": "(link, 3) scene frame; NaN where nothing was heard [m]",
    "covariance": "(link, 3, 3) calibrated, scene frame; NaN likewise [m^2]",
    "trusted": "(link) false where the channel is unlike what the model knows, or only noise",
}


class RefusedError(ValueError):
    """An export that was made, looked at, and not written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how it was checked."""

    path: Path
    bytes: int
    agreement: Agreement
    """Of the file before quantization with torch."""
    accuracy: Accuracy | None = None
    """Of what was written, on the labelled store."""
    cost: Cost | None = None
    """Of quantization."""


def export(
    localizer: Localizer,
    path: Path,
    street: PathStore,
    title: str = "a localizer",
    int8: bool = False,
    check: PathStore | None = None,
    reading: Reading | None = None,
) -> Exported:
    """Writes a localizer as ONNX, if what ONNX Runtime makes of it is what torch makes of it.

    Args:
        localizer: with a position head.
        path: of the file.
        street: store of paths whose channels both have to agree on.
        title: of the model, written into the file.
        int8: weights of the network in 8 bits, if `check` says that it costs little.
        check: store with labels.
        reading: of `check`, where it holds paths: its band, its array, its noise.

    Raises:
        RefusedError: where the file disagrees with torch, or quantization costs too much.
    """
    needed("onnx"), needed("onnxscript"), needed("onnxruntime")
    if path.suffix != ".onnx":
        raise ValueError(f"{path} is no ONNX file's name: end it in .onnx")
    if int8 and check is None:
        raise ValueError("int8 is written only where it costs little: name a labelled check store")
    localizer.eval()
    tried = trials(street, localizer)
    links = None if check is None else labelled_links(check, reading or Reading())
    with tempfile.TemporaryDirectory(prefix="radiofix-") as folder:
        made = Path(folder) / "plain.onnx"
        facts = _facts(localizer, title)
        _write(localizer, tried[0], made, facts)
        agreed = _agree(localizer, made, tried)
        facts["agreement"] = str(agreed)
        found = cost = None
        if check is not None and links is not None:
            found = accuracy(OnnxLocalizer(made), check, links)
        if int8:
            assert check is not None
            assert found is not None
            assert links is not None
            rounded = Path(folder) / "rounded.onnx"
            quantize(made, rounded)
            cost = Cost(found, accuracy(OnnxLocalizer(rounded), check, links))
            if not cost.share < MOST:
                raise RefusedError(
                    f"int8 costs {100 * cost.share:.1f} %, more than {100 * MOST:g} %: {cost}"
                )
            facts["int8"] = str(cost)
            made, found = rounded, cost.after
        _tell(made, facts)
        with whole_file(path) as file:
            file.write(made.read_bytes())
    return Exported(path, path.stat().st_size, agreed, found, cost)


def _facts(localizer: Localizer, title: str) -> dict[str, str]:
    size = size_of(localizer)
    antennas, subcarriers = ("any number", "any number") if size is None else map(str, size)
    return {
        "producer": "radiofix",
        "version": __version__,
        "model": title,
        "antennas": antennas,
        "subcarriers": subcarriers,
        "meaning": json.dumps(MEANING),
        **({LOOKS_FOR_WAVES: "yes"} if localizer.looks_for_waves else {}),
    }


@torch.no_grad()
def _write(localizer: Localizer, trial: Trial, path: Path, facts: Mapping[str, str]) -> None:
    model = RealLocalizer(localizer).eval()
    example = tensors_of(trial.sounding[:EXAMPLES])
    # What is looked up once, scales say, is looked up here and not while it is traced.
    model(*example)
    with _quiet():
        program = torch.onnx.export(
            model,
            example,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=_dynamic(localizer),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.producer_name, program.model.producer_version = "radiofix", __version__
    program.model.metadata_props.update(facts)
    program.save(str(path), external_data=False)


def _dynamic(localizer: Localizer) -> tuple[dict[int, Any], ...]:
    link = torch.export.Dim("link", min=1)
    antenna, subcarrier = torch.export.Dim("antenna", min=2), torch.export.Dim("subcarrier", min=2)
    free = size_of(localizer) is None
    of_antenna = {1: antenna} if free else {}
    return (
        {0: link, **of_antenna, **({2: subcarrier} if free else {})},
        {0: link, **of_antenna, **({2: subcarrier} if free else {})},
        {0: link, **({1: subcarrier} if free else {})},
        {0: link, **of_antenna},
        {0: link},
        {0: link},
    )


def _agree(localizer: Localizer, path: Path, tried: list[Trial]) -> Agreement:
    """Checks the file against torch on all links of a trial at once, and on one alone."""
    exported = OnnxLocalizer(path)
    soundings = [trial.sounding for trial in tried]
    soundings += [sounding[:1] for sounding in soundings]
    found = agreement([(s, localizer.fix(s), exported.fix(s)) for s in soundings])
    if not found.well:
        raise RefusedError(
            f"the ONNX file disagrees with torch by more than {TOLERANCE:g}: {found}"
        )
    return found


def _tell(path: Path, facts: Mapping[str, str]) -> None:
    """Writes what was found out into the file that is found out about."""
    onnx = needed("onnx")
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save(model, str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out what exporters say to those who write exporters."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
