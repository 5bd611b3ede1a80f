"""radiofix turns radio channels into positions."""

from radiofix.data.importers.sionna import from_sionna
from radiofix.data.store import open_paths
from radiofix.physics.arrays import elements, uca, ula, upa
from radiofix.physics.channel import Channel
from radiofix.types import Csi, Fix, Paths, Sounding, Station

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "Csi",
    "Fix",
    "Paths",
    "Sounding",
    "Station",
    "elements",
    "from_sionna",
    "open_paths",
    "uca",
    "ula",
    "upa",
]
