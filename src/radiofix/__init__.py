"""radiofix turns radio channels into positions."""

from radiofix.data.importers.sionna import from_sionna
from radiofix.data.store import open_paths
from radiofix.models.pretrained import load
from radiofix.physics.arrays import elements, uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.types import Csi, Fix, Paths, Sounding, Station
from radiofix.version import __version__

__all__ = [
    "Channel",
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
