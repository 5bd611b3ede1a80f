/** What the server sends, as docs/serving.md describes it. */

export type Place = [number, number, number];

export interface Station {
  name: string;
  position: Place;
  orientation: Place;
  carrier_frequency: number;
}

export interface Building {
  geometry: { coordinates: [number, number][][] };
  properties: { base: number; top: number };
}

export interface SceneMap {
  frame: string;
  extent: [number, number, number, number] | null;
  about: string | null;
  features: Building[];
}

export interface HeardBy {
  name: string;
  position: Place;
  weight: number;
}

/** A fix of `/v1/live`. */
export interface Fix {
  request: number;
  row: number;
  user: number | null;
  time: number | null;
  position: Place | null;
  /** xx, xy, yy [m²]. */
  covariance: [number, number, number] | null;
  trusted: boolean;
  truth: Place | null;
  stations: HeardBy[];
}

export interface Frame {
  made: number;
  requests: number;
  seconds: number[];
  fixes: Fix[];
}

/** A fix of `/v1/locate`. */
export interface Located {
  user: number;
  position: Place | null;
  covariance: [Place, Place, Place] | null;
  trusted: boolean;
  stations: { station: number; name: string; weight: number }[];
}

export interface LocateAnswer {
  model: string;
  number: number;
  fixes: Located[];
}

export interface Picture {
  rows: number;
  columns: number;
  top_db: number;
  range_db: number;
  levels: string;
}

export interface Profile extends Picture {
  azimuth: [number, number];
  delay: [number, number];
}

export interface LinkShown {
  station: string;
  antennas: number;
  subcarriers: number;
  magnitude: Picture;
  profile: Profile | null;
}

export interface ChannelAnswer {
  user: number | null;
  request: number;
  row: number;
  links: LinkShown[];
}
