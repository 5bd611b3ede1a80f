/** The squared radius, in standard deviations, of the ellipse that holds 90 %. */
export const HOLDS_90 = -2 * Math.log(0.1);

export type Plane = readonly [xx: number, xy: number, yy: number];

export interface Ellipse {
  /** Half axes [m]. */
  major: number;
  minor: number;
  /** Of the major axis, from +x toward +y [rad]. */
  angle: number;
}

/** Of 90 %. */
export function ellipse([xx, xy, yy]: Plane): Ellipse {
  const middle = (xx + yy) / 2;
  const half = Math.hypot((xx - yy) / 2, xy);
  const larger = middle + half;
  // By the product of both roots: their difference would lose a thin ellipse's digits.
  const smaller = Math.max(xx * yy - xy * xy, 0) / (larger || 1);
  const reach = Math.sqrt(HOLDS_90);
  return {
    major: reach * Math.sqrt(larger),
    minor: reach * Math.sqrt(smaller),
    angle: Math.atan2(2 * xy, xx - yy) / 2,
  };
}

/** Whether a place so far off lies within the ellipse of 90 %. */
export function holds([xx, xy, yy]: Plane, dx: number, dy: number): boolean {
  const size = xx * yy - xy * xy;
  return size > 0 && (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / size <= HOLDS_90;
}
