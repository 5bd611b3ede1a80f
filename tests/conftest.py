"""What holds for all tests."""

import importlib
from pathlib import Path

SLOWEST = (
    "tests/tracing/test_trace.py",
    "tests/benchmark/test_lwlm_runs.py",
    "tests/test_readme.py",
    "tests/cli/test_serve.py",
    "tests/test_docs_blocks.py",
    "tests/serving/test_export.py",
    "tests/benchmark/test_sigmap_runs.py",
    "tests/benchmark/test_sigmap_arms.py",
)
"""Files of a minute or more: begun first, so that no process is left with one at the end."""


def pytest_sessionstart():
    """Imports the package before several workers at once tell of its warnings.

    The process that gathers them has a thread for each worker, which imports the warning's module.
    Two threads that begin on the package together each find the other's half of it.
    """
    importlib.import_module("radiofix")


def pytest_collection_modifyitems(items):
    slow = [Path(__file__).parents[1] / file for file in SLOWEST]
    items.sort(key=lambda item: slow.index(item.path) if item.path in slow else len(slow))
