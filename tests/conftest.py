"""What holds for all tests."""

import importlib


def pytest_sessionstart():
    """Imports the package before several workers at once tell of its warnings.

    The process that gathers them has a thread for each worker, which imports the warning's module.
    Two threads that begin on the package together each find the other's half of it.
    """
    importlib.import_module("radiofix")
