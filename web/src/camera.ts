export interface Point {
  x: number;
  y: number;
}

export interface Box {
  west: number;
  south: number;
  east: number;
  north: number;
}

const NEAREST = 80;
const FARTHEST = 0.02;

/** From metres of the scene to pixels, seen from far away: parallels stay parallel. */
export class Camera {
  x = 0;
  y = 0;
  /** Pixels a metre. */
  scale = 2;
  /** Which way is up on the screen, clockwise from north [rad]. */
  heading = 0;
  /** Away from straight down [rad]. */
  tilt = 0;
  width = 1;
  height = 1;

  project(x: number, y: number, z = 0): Point {
    const [dx, dy] = [x - this.x, y - this.y];
    const [c, s] = [Math.cos(this.heading), Math.sin(this.heading)];
    const ahead = dx * s + dy * c;
    return {
      x: this.width / 2 + (dx * c - dy * s) * this.scale,
      y: this.height / 2 - (ahead * Math.cos(this.tilt) + z * Math.sin(this.tilt)) * this.scale,
    };
  }

  /** On the ground. */
  unproject(point: Point): Point {
    const across = (point.x - this.width / 2) / this.scale;
    const ahead = (this.height / 2 - point.y) / (this.scale * Math.cos(this.tilt));
    const [c, s] = [Math.cos(this.heading), Math.sin(this.heading)];
    return { x: this.x + across * c + ahead * s, y: this.y - across * s + ahead * c };
  }

  /** How far ahead a place lies, as the screen goes [m]. */
  depth(x: number, y: number): number {
    return x * Math.sin(this.heading) + y * Math.cos(this.heading);
  }

  panBy(dx: number, dy: number): void {
    const centre = this.unproject({ x: this.width / 2 - dx, y: this.height / 2 - dy });
    this.x = centre.x;
    this.y = centre.y;
  }

  /** Zooms so that what lies at a point of the screen stays there. */
  zoomBy(factor: number, at: Point = { x: this.width / 2, y: this.height / 2 }): void {
    const before = this.unproject(at);
    this.scale = Math.min(NEAREST, Math.max(FARTHEST, this.scale * factor));
    const after = this.unproject(at);
    this.x += before.x - after.x;
    this.y += before.y - after.y;
  }

  turnBy(angle: number): void {
    this.heading = Math.atan2(Math.sin(this.heading + angle), Math.cos(this.heading + angle));
  }

  /** Shows all of a box; `turn` lets its long side lie along the screen's. */
  fit(box: Box, turn: boolean, margin: { x: number; y: number }): void {
    this.x = (box.west + box.east) / 2;
    this.y = (box.south + box.north) / 2;
    const [across, along] = [Math.max(box.east - box.west, 20), Math.max(box.north - box.south, 20)];
    const lying = along > across !== this.height > this.width;
    if (turn) this.heading = lying ? -Math.PI / 2 : 0;
    const [c, s] = [Math.abs(Math.cos(this.heading)), Math.abs(Math.sin(this.heading))];
    const wide = across * c + along * s;
    const high = (across * s + along * c) * Math.cos(this.tilt);
    const room = [Math.max(this.width - 2 * margin.x, 60), Math.max(this.height - 2 * margin.y, 60)];
    const scale = Math.min((room[0] ?? 60) / wide, (room[1] ?? 60) / high);
    this.scale = Math.min(NEAREST / 4, Math.max(FARTHEST, scale));
  }
}

/** A length of 1, 2 or 5 times a power of ten, at least so long. */
export function roundUp(length: number): number {
  const power = 10 ** Math.floor(Math.log10(length));
  const digit = [1, 2, 5, 10].find((one) => one * power >= length * 0.999) ?? 10;
  return digit * power;
}
