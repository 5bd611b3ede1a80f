"""Fixes as tables: CSV and Parquet."""

from __future__ import annotations

import csv
import importlib
import io
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from radiofix.serving.columns import Style, absent, cells, columns
from radiofix.serving.fixes import Fixes
from radiofix.serving.writer import FixWriter
from radiofix.version import __version__


class CsvWriter(FixWriter):
    """A row a fix, empty cells where nothing is known."""

    def __init__(self, stream: IO[bytes], style: Style) -> None:
        super().__init__(stream, style)
        self._begun = False

    def write(self, fixes: Fixes) -> None:
        """Adds a block; the first one brings the names of the columns."""
        found = columns(fixes, self.style)
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        if not self._begun:
            rows.writerow(found)
            self._begun = True
        found["trusted"] = np.where(fixes.trusted, "true", "false")
        rows.writerows(zip(*(cells(name, c) for name, c in found.items()), strict=True))
        self.stream.write(text.getvalue().encode())

    def finish(self) -> None:
        """Nothing comes after the last row."""


class ParquetWriter(FixWriter):
    """The columns of the CSV, typed, a row group a block; the frame stands in the metadata."""

    def __init__(self, stream: IO[bytes], style: Style) -> None:
        super().__init__(stream, style)
        self._arrow, self._parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
        self._writer: Any = None

    def write(self, fixes: Fixes) -> None:
        """Adds a block."""
        found = columns(fixes, self.style)
        arrays = {
            name: self._arrow.array(
                column, from_pandas=True, mask=absent(name, column), type=self._type(column)
            )
            for name, column in found.items()
        }
        told = {"frame": self.style.frame, "generator": f"radiofix {__version__}"}
        table = self._arrow.table(arrays).replace_schema_metadata(told)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self.stream, table.schema)
        self._writer.write_table(table)

    def finish(self) -> None:
        """Writes the footer."""
        if self._writer is not None:
            self._writer.close()

    def _type(self, column: NDArray[Any]) -> Any:
        return self._arrow.string() if column.dtype == object else None


def _arrow(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(
            "parquet needs pyarrow: pip install 'radiofix[parquet]', or write .csv or .geojson"
        ) from None
