"""The weights of an exported network in 8 bits, its activations rounded as they come."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from radiofix.serving.onnx.session import needed

TOKENS = ("MatMul", "Gemm")
"""What is done to every token: nearly all of the arithmetic."""


def quantize(source: Path, target: Path) -> None:
    """Writes an ONNX file with the products that have fixed weights in int8.

    What depends on the channel alone, the search for the strongest wave, has no weights and stays
    as it is; so do the heads, whose outputs are metres.
    """
    needed("onnxruntime")
    quantization = importlib.import_module("onnxruntime.quantization")
    onnx = needed("onnx")
    model = onnx.load(str(source))
    heads = [n.name for n in model.graph.node if any("head." in name for name in n.input)]
    # Shapes noted before the exporter turned weights round contradict those that are there now.
    del model.graph.value_info[:]
    bare = target.with_suffix(".bare.onnx")
    onnx.save(model, str(bare))
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        quantization.quantize_dynamic(
            str(bare),
            str(target),
            op_types_to_quantize=list(TOKENS),
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=heads,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logging.root.setLevel(level)
        bare.unlink()
