"""radiofix turns radio channels into positions."""

from typing import TYPE_CHECKING, Any

from radiofix.data.importers.sionna import from_sionna
from radiofix.data.store import open_paths
from radiofix.models.pretrained import load
from radiofix.physics.arrays import elements, uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.types import Csi, Fix, Paths, Sounding, Station
from radiofix.version import __version__

if TYPE_CHECKING:
    from radiofix.client import Client

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
    """Loads the client of `radiofix serve` for who asks for it."""
    if name == "Client":
        from radiofix.client import Client

        return Client
    raise AttributeError(f"module 'radiofix' has no attribute {name!r}")
