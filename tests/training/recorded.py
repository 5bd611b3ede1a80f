"""Measured CSI whose paths are known: what a channel makes of a traced store, written down."""

from radiofix.data import schema
from radiofix.data.store import StoreWriter, open_paths


def record(traced, path, channel, csi=lambda values: values, position=lambda values: values):
    """Writes the links of a traced store as measured ones, with its stations, users and splits.

    Args:
        traced: path of the store.
        path: of the store to be.
        channel: through which it is heard.
        csi: changes the channels (user, station, antenna, subcarrier).
        position: changes the users' places (user, 3).
    """
    store = open_paths(traced)
    links = store.links()
    heard = channel.synthesize(links).numpy()
    users, stations = store.users, len(store.stations)
    heard = csi(heard.reshape(users, stations, *heard.shape[1:]).copy())
    wavelength = 299_792_458.0 / store.stations[0].carrier_frequency
    measured = {
        "csi": heard,
        "frequency": store.stations[0].carrier_frequency + channel.baseband_frequency.numpy(),
        "antenna_position": channel.array.positions.numpy() * wavelength,
    }
    names = [station.name for station in store.stations]
    with StoreWriter(path, {"scenario": "heard", "station_names": names}, users, stations) as out:
        for name, values in measured.items():
            out.put(name, schema.CSI_VARIABLES[name], values)
        for name, variable in schema.SCENE_VARIABLES.items():
            values = store.dataset[name].values
            out.put(name, variable, position(values.copy()) if name == "user_position" else values)
        split = schema.Variable(("user",), "int8", "1", "part of the user")
        for name in ("split_random", "split_region"):
            out.put(name, split, store.dataset[name].values)
    return path
