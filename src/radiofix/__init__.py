"""radiofix turns radio channels into positions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radiofix.physics.arrays import elements, uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.types import Csi, Fix, Paths, Sounding, Station
from radiofix.version import __version__

if TYPE_CHECKING:
    from radiofix.client import Client
    from radiofix.data.importers.sionna import from_sionna
    from radiofix.data.store import open_paths
    from radiofix.models.pretrained import load

LATER = {
    "Client": "radiofix.client",
    "from_sionna": "radiofix.data.importers.sionna",
    "load": "radiofix.models.pretrained",
    "open_paths": "radiofix.data.store",
}
"""What takes its time to import, and where it is."""

__all__ = [
    "Channel",
    "Client",
    "Csi",
    "Fix",
    "Paths",
    "Sounding",
    "Station",
    "__version__",
    "elements",
    "from_sionna",
    "load",
    "open_paths",
    "uca",
    "ula",
    "upa",
]


def __getattr__(name: str) -> Any:
    """Imports what takes its time for who asks for it."""
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    raise AttributeError(f"module 'radiofix' has no attribute {name!r}")
