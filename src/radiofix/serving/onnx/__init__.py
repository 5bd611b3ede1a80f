"""Localizers as ONNX: in real arithmetic, checked against torch, quantized, and run without it."""
