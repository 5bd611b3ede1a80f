"""What goes over the wire as JSON: what is asked, what is answered, with examples that work."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ANTENNAS, SUBCARRIERS = 4, 8


def _waves() -> tuple[list[list[float]], list[list[float]]]:
    """One wave from the front, 40 m away, at 20 MHz: every antenna hears the same."""
    # Quarter turns of exp(-j 2 pi k 2.5 MHz 100 ns), so that the example stays short.
    real, imaginary = (1e-4, 0.0, -1e-4, 0.0), (0.0, -1e-4, 0.0, 1e-4)
    cycle = SUBCARRIERS // len(real)
    return [list(real * cycle)] * ANTENNAS, [list(imaginary * cycle)] * ANTENNAS


_REAL, _IMAGINARY = _waves()
_ROOF = {
    "name": "roof",
    "position": [0.0, 0.0, 6.0],
    "orientation": [0.0, 0.0, 0.0],
    "carrier_frequency": 3.5e9,
}
_MAST = {**_ROOF, "name": "mast", "position": [60.0, 5.0, 6.0], "orientation": [3.14159, 0.0, 0.0]}
EXAMPLES: dict[str, dict[str, Any]] = {
    "one link": {
        "summary": "One user, one station",
        "value": {
            "csi_real": _REAL,
            "csi_imag": _IMAGINARY,
            "bandwidth": 20e6,
            "ula_spacing": 0.5,
            "stations": [_ROOF],
        },
    },
    "two stations": {
        "summary": "Two times of one user, heard by two stations each",
        "value": {
            "csi_real": [[_REAL, _REAL], [_REAL, _REAL]],
            "csi_imag": [[_IMAGINARY, _IMAGINARY], [_IMAGINARY, _IMAGINARY]],
            "bandwidth": 20e6,
            "ula_spacing": 0.5,
            "stations": [_ROOF, _MAST],
            "user": [7, 7],
            "time": [0.0, 0.5],
        },
    },
}


QUERY = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": "number", "exclusiveMinimum": 0},
        "description": f"If the body has no {name} [{unit}]",
    }
    for name, unit in (("bandwidth", "Hz"), ("ula_spacing", "wavelengths"))
]


class Strict(BaseModel):
    """Nothing that is not known is taken."""

    model_config = ConfigDict(extra="forbid")


class StationSent(Strict):
    """A station as a client describes it."""

    position: tuple[float, float, float] = Field(description="Scene frame [m]")
    orientation: tuple[float, float, float] = Field(description="Yaw, pitch, roll [rad]")
    carrier_frequency: float = Field(gt=0, description="[Hz]", allow_inf_nan=False)
    name: str = Field("", max_length=200)


class LocateRequest(Strict):
    """Channels of some users: `csi_real` and `csi_imag` of two to four axes."""

    csi_real: list[Any] = Field(
        description="(user, station, antenna, subcarrier), (user, antenna, subcarrier) or "
        "(antenna, subcarrier), linear amplitude; a link of zeros was not measured"
    )
    csi_imag: list[Any] = Field(description="As csi_real")
    stations: list[StationSent] | list[str] | None = Field(
        None, description="In the order of the csi; names of the server's; null: all of them"
    )
    bandwidth: float | None = Field(None, description="N times the subcarriers' spacing [Hz]")
    frequency: list[float] | None = Field(
        None, description="Of each subcarrier, absolute, in place of bandwidth [Hz]"
    )
    ula_spacing: float | None = Field(
        None, description="Of a line array along the station's y axis [wavelengths]"
    )
    antenna_position: list[tuple[float, float, float]] | None = Field(
        None, description="In the station's frame, in place of ula_spacing [m]"
    )
    antenna_wavelengths: list[tuple[float, float, float]] | None = Field(
        None, description="The same in wavelengths of each station's carrier"
    )
    first_subcarrier: int | None = Field(None, description="Number of the lowest; null: -(N // 2)")
    user: list[int] | None = Field(None, description="The client's own number of each row")
    user_position: list[tuple[float, float, float]] | None = Field(
        None, description="Where the users were, where that is known: for viewers of the map [m]"
    )
    time: list[float] | None = Field(None, description="[s]")
    track: list[int] | None = Field(None, description="Of which moving user")
    station: list[int] | None = Field(
        None,
        description="Of three axes, the station that received each row; rows of one user and "
        "time that follow each other become one fix",
    )


class StationHeard(BaseModel):
    """A station of a fix."""

    station: int = Field(description="Number in the order of the request's stations")
    name: str
    weight: float = Field(description="How far it was believed, 0 to 1")


class FixMade(BaseModel):
    """One user at one time."""

    user: int
    time: float | None = Field(description="[s]")
    track: int | None
    position: tuple[float, float, float] | None = Field(
        description="Scene frame; null where nobody heard the user [m]"
    )
    covariance: list[list[float]] | None = Field(description="3 x 3 [m^2]")
    geographic: tuple[float, float, float] | None = Field(
        description="Latitude, longitude [deg], height [m] on WGS 84; null without an origin"
    )
    trusted: bool = Field(description="False: take it for a hint at most")
    stations: list[StationHeard]


class LocateAnswer(BaseModel):
    """Fixes in the order of the request."""

    model: str
    frame: str
    number: int = Field(description="Of this request in the streams of fixes")
    fixes: list[FixMade]


class StationKnown(StationSent):
    """A station of the server."""

    geographic: tuple[float, float, float] | None


class StationsAnswer(BaseModel):
    """The server's stations in order; none where every request brings its own."""

    frame: str
    stations: list[StationKnown]


class BuildingProperties(BaseModel):
    """Of one part of a building."""

    building: int
    base: float = Field(description="[m]")
    top: float = Field(description="[m]")


class Outline(BaseModel):
    """Rings in metres of the scene: the outer one counter-clockwise, then those of courts."""

    type: Literal["Polygon"]
    coordinates: list[list[tuple[float, float]]]


class Building(BaseModel):
    """A footprint with heights."""

    type: Literal["Feature"]
    geometry: Outline
    properties: BuildingProperties


class MapAnswer(BaseModel):
    """GeoJSON, but in the scene's own metres, as `frame` says."""

    type: Literal["FeatureCollection"]
    frame: str
    extent: tuple[float, float, float, float] | None = Field(
        description="West, south, east, north end of where users are to be expected [m]"
    )
    about: str | None = Field(description="Where the fixes come from, where that is to be said")
    features: list[Building]


class ChannelAsked(BaseModel):
    """Either a user, or a request and a row."""

    user: int | None = Field(None, description="The client's own number: its latest channel")
    request: int | None = Field(None, description="The number of a request in the streams")
    row: int | None = Field(None, description="Of the request: of users without a number")

    @model_validator(mode="after")
    def _expect_either(self) -> ChannelAsked:
        if (self.user is None) == (self.request is None or self.row is None):
            raise ValueError("ask for a user, or for a request and a row")
        return self

    @property
    def key(self) -> tuple[int, ...]:
        """As channels are kept."""
        asked = (self.user, self.request, self.row)
        return tuple(number for number in asked if number is not None)


class Picture(BaseModel):
    """Levels over rows and columns."""

    rows: int
    columns: int
    top_db: float = Field(description="Of the brightest [dB]")
    range_db: float = Field(description="From the brightest to level 0 [dB]")
    levels: str = Field(description="A byte each, row by row, 255 the brightest; base64")


class Profile(Picture):
    """Power over azimuth (rows) and delay (columns)."""

    azimuth: tuple[float, float] = Field(description="Of the first and the last row [rad]")
    delay: tuple[float, float] = Field(description="Of the first and the last column [s]")


class LinkShown(BaseModel):
    """What one station heard."""

    station: str
    antennas: int
    subcarriers: int
    magnitude: Picture = Field(description="Antennas over subcarriers")
    profile: Profile | None = Field(description="Null of a single subcarrier")


class ChannelAnswer(BaseModel):
    """The channels of one fix."""

    user: int | None
    request: int
    row: int
    links: list[LinkShown]


class ModelKnown(BaseModel):
    """A localizer."""

    name: str
    serving: bool = Field(description="Whether this server answers with it")
    parameters: int | None
    engine: str | None = Field(default=None, description="What runs it, where this server does")


class ModelsAnswer(BaseModel):
    """The model that answers, and those that come with radiofix."""

    models: list[ModelKnown]


class Health(BaseModel):
    """Whether requests are answered."""

    status: str
    model: str
    version: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
