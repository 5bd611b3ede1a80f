"""The formats that fixes are written in, by the suffix of a file."""

from __future__ import annotations

from collections.abc import Mapping

from radiofix.serving.maps import GeoJsonWriter, LppWriter
from radiofix.serving.tables import CsvWriter, ParquetWriter
from radiofix.serving.writer import FixWriter

FORMATS: Mapping[str, type[FixWriter]] = {
    "csv": CsvWriter,
    "geojson": GeoJsonWriter,
    "json": LppWriter,
    "parquet": ParquetWriter,
}
"""By the suffix of a file."""


def format_of(suffix: str) -> str:
    """The format that a file's suffix stands for."""
    name = suffix.lstrip(".").lower()
    if name not in FORMATS:
        raise ValueError(f"suffix {suffix!r} is none of {', '.join('.' + f for f in FORMATS)}")
    return name
