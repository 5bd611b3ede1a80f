import type { Camera, Point } from "../camera.ts";
import { ellipse, type Plane } from "../ellipse.ts";
import type { HeardBy, Place } from "../wire.ts";
import { FADING, PALE, type Person, type Spot, type Stranger } from "../world.ts";
import type { Palette } from "./palette.ts";
import { path, write } from "./ground.ts";

/** In which somebody is drawn to the next fix [ms]. */
const EASE = 350;
const PIECES = 6;
const CORNERS = 40;
const GROUND = 1.5;
/** How far from its station a weight is told, and how wide a map has room for that [px]. */
const LABEL = 56;
const ROOM = 600;
const SMALL = "600 11px system-ui, sans-serif";

export interface Layers {
  ellipses: boolean;
  tails: boolean;
  weights: boolean;
  truth: boolean;
}

export interface FromFile {
  row: number;
  position: Place;
  plane: Plane;
  trusted: boolean;
  truth: Place | null;
}

/** Where somebody is drawn while on the way from one fix to the next. */
export function eased(person: Person, now: number): Spot {
  const share = Math.min(1, Math.max(0, (now - person.came) / EASE));
  if (share === 1 || stillness.matches) return person.spot;
  const step = 1 - (1 - share) ** 3;
  const between = (a: number, b: number) => a + (b - a) * step;
  const [a, b] = [person.from, person.spot];
  return {
    x: between(a.x, b.x),
    y: between(a.y, b.y),
    plane: [
      between(a.plane[0], b.plane[0]),
      between(a.plane[1], b.plane[1]),
      between(a.plane[2], b.plane[2]),
    ],
  };
}

/** Whether anything moves by itself at the moment. */
export function moving(people: Iterable<Person>, now: number): boolean {
  if (stillness.matches) return false;
  for (const person of people) if (now - person.came < EASE) return true;
  return false;
}

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export function drawTail(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  person: Person,
  chosen: boolean,
  now: number,
): void {
  const here = eased(person, now);
  const way = [...person.tail.slice(0, -1), here].map((p) => camera.project(p.x, p.y, GROUND));
  const size = Math.ceil(way.length / PIECES);
  draw.strokeStyle = chosen ? colours.chosen : colours.fix;
  draw.lineWidth = chosen ? 3 : 2;
  draw.lineCap = "butt";
  draw.lineJoin = "round";
  for (let start = way.length - 1; start > 0; start -= size) {
    const age = (way.length - 1 - start) / way.length;
    draw.globalAlpha = presence(person, now) * (chosen ? 0.85 : 0.5) * (1 - age) ** 1.5;
    path(draw, way.slice(Math.max(0, start - size), start + 1));
    draw.stroke();
  }
  draw.globalAlpha = 1;
}

/** Lines to the stations, the wider the more a station was believed; told for the chosen one. */
export function drawWeights(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  spot: Spot,
  stations: HeardBy[],
  chosen: boolean,
): void {
  const here = camera.project(spot.x, spot.y, GROUND);
  draw.lineCap = "round";
  for (const one of stations) {
    const there = camera.project(...one.position);
    draw.strokeStyle = colours.station;
    draw.globalAlpha = chosen ? 0.3 + 0.35 * one.weight : 0.05 + 0.1 * one.weight;
    draw.lineWidth = chosen ? 0.75 + 2.25 * one.weight : 0.5 + one.weight;
    draw.setLineDash(one.weight > 0.05 ? [] : [3, 5]);
    path(draw, [here, there]);
    draw.stroke();
  }
  draw.setLineDash([]);
  draw.globalAlpha = 1;
  if (!chosen || camera.width < ROOM) return;
  for (const one of stations) {
    const there = camera.project(...one.position);
    const length = Math.hypot(there.x - here.x, there.y - here.y);
    if (length < 3 * LABEL) continue;
    const share = LABEL / length;
    const at = {
      x: there.x + (here.x - there.x) * share,
      y: there.y + (here.y - there.y) * share + 4,
    };
    const text = `${Math.round(100 * one.weight)} %`;
    write(draw, text, at, colours.station, colours.street, "center", SMALL);
  }
}

export function drawEllipse(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colour: string,
  spot: Spot,
  style: { strength: number; dashed: boolean; width: number },
): void {
  path(draw, outline(camera, spot), true);
  draw.globalAlpha = 0.2 * style.strength;
  draw.fillStyle = colour;
  draw.fill();
  draw.globalAlpha = 0.9 * style.strength;
  draw.strokeStyle = colour;
  draw.lineWidth = style.width;
  draw.setLineDash(style.dashed ? [4, 4] : []);
  draw.stroke();
  draw.setLineDash([]);
  draw.globalAlpha = 1;
}

/** A ring where somebody truly was, and a line to where they were put. */
export function drawTruth(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  spot: Spot,
  truth: Place,
): void {
  const [there, here] = [camera.project(...truth), camera.project(spot.x, spot.y, GROUND)];
  draw.strokeStyle = colours.truth;
  draw.lineWidth = 1.5;
  path(draw, [there, here]);
  draw.stroke();
  draw.beginPath();
  draw.arc(there.x, there.y, Math.min(4, Math.max(2.4, camera.scale * 0.8)), 0, 2 * Math.PI);
  draw.fillStyle = colours.street;
  draw.fill();
  draw.stroke();
}

export function drawDot(
  draw: CanvasRenderingContext2D,
  at: Point,
  colour: string,
  rim: string,
  size: number,
  trusted: boolean,
): void {
  draw.beginPath();
  draw.arc(at.x, at.y, size, 0, 2 * Math.PI);
  draw.fillStyle = trusted ? colour : rim;
  draw.strokeStyle = trusted ? rim : colour;
  draw.lineWidth = trusted ? 1.5 : 2;
  draw.fill();
  draw.stroke();
}

/** How much of somebody is seen: who has long been silent is pale. */
export function presence(person: Person, now: number): number {
  return now - person.came > PALE ? 0.3 : 1;
}

export function drawStranger(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  stranger: Stranger,
  layers: Layers,
  now: number,
): void {
  const left = stillness.matches ? 1 : Math.max(0, 1 - (now - stranger.came) / FADING);
  const { spot, fix } = stranger;
  const colour = fix.trusted ? colours.fix : colours.doubt;
  if (layers.ellipses) {
    drawEllipse(draw, camera, colour, spot, { strength: left, dashed: !fix.trusted, width: 1 });
  }
  draw.globalAlpha = left;
  const at = camera.project(spot.x, spot.y, GROUND);
  drawDot(draw, at, colour, colours.street, 3.5, fix.trusted);
  draw.globalAlpha = 1;
}

function outline(camera: Camera, spot: Spot): Point[] {
  const { major, minor, angle } = ellipse(spot.plane);
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return Array.from({ length: CORNERS }, (_, i) => {
    const turn = (2 * Math.PI * i) / CORNERS;
    const [along, across] = [major * Math.cos(turn), minor * Math.sin(turn)];
    return camera.project(
      spot.x + c * along - s * across,
      spot.y + s * along + c * across,
      GROUND,
    );
  });
}
