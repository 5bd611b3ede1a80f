import { roundUp, type Camera, type Point } from "../camera.ts";
import type { Building, SceneMap, Station } from "../wire.ts";
import { faded, type Palette } from "./palette.ts";

const LOOK = Math.PI / 3;
/** Of the fan that shows where a station looks [m], and on the screen [px]. */
const FAN = { metres: 26, least: 30, most: 180 };
const GRID = 90;
const BAR = 70;
/** From where light comes, so that walls differ. */
const LIGHT = 0.7;
/** Of buildings that stand before a street: what goes on there stays visible. */
const GLASS = 0.72;

/** What stands still: the grid, the buildings, the stations. */
export function drawGround(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  map: SceneMap,
  stations: Station[],
): void {
  draw.fillStyle = colours.street;
  draw.fillRect(0, 0, camera.width, camera.height);
  drawGrid(draw, camera, colours);
  const far = (one: Building) =>
    Math.min(...(one.geometry.coordinates[0] ?? []).map(([x, y]) => camera.depth(x, y)));
  const ordered = map.features.map((one) => ({ one, depth: far(one) }));
  ordered.sort((a, b) => b.depth - a.depth);
  for (const { one } of ordered) drawBuilding(draw, camera, colours, one);
  for (const station of stations) drawFan(draw, camera, colours, station);
  for (const station of stations) drawStation(draw, camera, colours, station);
}

/** A bar of a round length; gives that length as text for who cannot see it. */
export function drawScale(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
): string {
  const length = roundUp(BAR / camera.scale);
  const text = length >= 1_000 ? `${length / 1_000} km` : `${length} m`;
  const [x, y, width] = [16, camera.height - 16, length * camera.scale];
  draw.lineCap = "butt";
  for (const [colour, thick] of [
    [colours.street, 5],
    [colours.ink, 2],
  ] as const) {
    draw.strokeStyle = colour;
    draw.lineWidth = thick;
    path(draw, [
      { x, y: y - 5 },
      { x, y },
      { x: x + width, y },
      { x: x + width, y: y - 5 },
    ]);
    draw.stroke();
  }
  write(draw, text, { x: x + width / 2, y: y - 9 }, colours.ink, colours.street, "center");
  return text;
}

export function path(draw: CanvasRenderingContext2D, points: Point[], closed = false): void {
  draw.beginPath();
  for (const [i, point] of points.entries()) {
    if (i) draw.lineTo(point.x, point.y);
    else draw.moveTo(point.x, point.y);
  }
  if (closed) draw.closePath();
}

/** Text that can be read on whatever lies below. */
export function write(
  draw: CanvasRenderingContext2D,
  text: string,
  at: Point,
  colour: string,
  halo: string,
  align: CanvasTextAlign,
  font = "600 12px system-ui, sans-serif",
): void {
  draw.font = font;
  draw.textAlign = align;
  draw.textBaseline = "alphabetic";
  draw.lineJoin = "round";
  draw.lineWidth = 4;
  draw.strokeStyle = halo;
  draw.strokeText(text, at.x, at.y);
  draw.fillStyle = colour;
  draw.fillText(text, at.x, at.y);
}

function drawGrid(draw: CanvasRenderingContext2D, camera: Camera, colours: Palette): void {
  const step = roundUp(GRID / camera.scale);
  const corners = [
    [0, 0],
    [camera.width, 0],
    [0, camera.height],
    [camera.width, camera.height],
  ].map(([x = 0, y = 0]) => camera.unproject({ x, y }));
  const [xs, ys] = [corners.map((c) => c.x), corners.map((c) => c.y)];
  const [west, east] = [Math.min(...xs), Math.max(...xs)];
  const [south, north] = [Math.min(...ys), Math.max(...ys)];
  draw.beginPath();
  for (let x = Math.ceil(west / step) * step; x <= east; x += step) {
    line(draw, camera.project(x, south), camera.project(x, north));
  }
  for (let y = Math.ceil(south / step) * step; y <= north; y += step) {
    line(draw, camera.project(west, y), camera.project(east, y));
  }
  draw.strokeStyle = colours.grid;
  draw.lineWidth = 1;
  draw.stroke();
}

function line(draw: CanvasRenderingContext2D, from: Point, to: Point): void {
  draw.moveTo(from.x, from.y);
  draw.lineTo(to.x, to.y);
}

function drawBuilding(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  building: Building,
): void {
  const { base, top } = building.properties;
  const rings = building.geometry.coordinates;
  draw.lineJoin = "round";
  draw.lineWidth = 1;
  draw.strokeStyle = colours.edge;
  if (camera.tilt > 0.01) {
    draw.globalAlpha = GLASS;
    for (const ring of rings) {
      for (const wall of walls(camera, ring)) {
        const [[ax, ay], [bx, by]] = wall;
        const sides = [
          camera.project(ax, ay, base),
          camera.project(bx, by, base),
          camera.project(bx, by, top),
          camera.project(ax, ay, top),
        ];
        path(draw, sides, true);
        draw.fillStyle = colours.wall;
        draw.fill();
        const outward = Math.atan2(by - ay, bx - ax) - Math.PI / 2;
        const shade = 0.2 * (1 - Math.cos(outward - camera.heading - LIGHT));
        draw.fillStyle = `rgb(0 0 0 / ${shade.toFixed(3)})`;
        draw.fill();
        draw.stroke();
      }
    }
  }
  draw.beginPath();
  for (const ring of rings) {
    for (const [i, [x, y]] of ring.entries()) {
      const point = camera.project(x, y, top);
      if (i) draw.lineTo(point.x, point.y);
      else draw.moveTo(point.x, point.y);
    }
    draw.closePath();
  }
  draw.fillStyle = colours.roof;
  draw.fill("evenodd");
  draw.stroke();
  draw.globalAlpha = 1;
}

type Corner = [number, number];

/** Those that face the viewer, the farthest first: rings keep their building to the left. */
function walls(camera: Camera, ring: Corner[]): [Corner, Corner][] {
  const facing: { wall: [Corner, Corner]; depth: number }[] = [];
  for (const [i, from] of ring.entries()) {
    const to = ring[i + 1];
    if (!to) continue;
    // The way out lies to the right; who sees the wall stands opposite to what is ahead.
    const ahead = camera.depth(to[1] - from[1], from[0] - to[0]);
    if (ahead < 0) {
      const depth = camera.depth((from[0] + to[0]) / 2, (from[1] + to[1]) / 2);
      facing.push({ wall: [from, to], depth });
    }
  }
  return facing.sort((a, b) => b.depth - a.depth).map((one) => one.wall);
}

function drawFan(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  station: Station,
): void {
  const [x, y] = station.position;
  const yaw = station.orientation[0];
  const pixels = Math.min(Math.max(FAN.metres * camera.scale, FAN.least), FAN.most);
  const reach = pixels / camera.scale;
  const centre = camera.project(x, y);
  const rim = Array.from({ length: 25 }, (_, i) => {
    const angle = yaw - LOOK + (2 * LOOK * i) / 24;
    return camera.project(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  });
  const fading = draw.createRadialGradient(centre.x, centre.y, 0, centre.x, centre.y, pixels);
  fading.addColorStop(0, faded(colours.station, 0.34));
  fading.addColorStop(1, faded(colours.station, 0));
  path(draw, [centre, ...rim], true);
  draw.fillStyle = fading;
  draw.fill();
}

function drawStation(
  draw: CanvasRenderingContext2D,
  camera: Camera,
  colours: Palette,
  station: Station,
): void {
  const [x, y, z] = station.position;
  const yaw = station.orientation[0];
  const [foot, head] = [camera.project(x, y), camera.project(x, y, z)];
  const aside = camera.project(x + Math.cos(yaw), y + Math.sin(yaw));
  const turn = Math.atan2(aside.y - foot.y, aside.x - foot.x);
  if (camera.tilt > 0.01) {
    path(draw, [foot, head]);
    draw.strokeStyle = colours.ink;
    draw.lineWidth = 2;
    draw.stroke();
  }
  const corner = (angle: number, reach: number): Point => ({
    x: head.x + reach * Math.cos(turn + angle),
    y: head.y + reach * Math.sin(turn + angle),
  });
  path(draw, [corner(0, 10), corner(2.4, 9), corner(Math.PI, 3.5), corner(-2.4, 9)], true);
  draw.fillStyle = colours.station;
  draw.strokeStyle = colours.paper;
  draw.lineWidth = 2;
  draw.lineJoin = "round";
  draw.stroke();
  draw.fill();
  const behind = corner(Math.PI, 17);
  const across = Math.cos(turn);
  const align = Math.abs(across) < 0.4 ? "center" : across > 0 ? "right" : "left";
  const label = station.name.length > 16 ? `${station.name.slice(0, 15)}…` : station.name;
  write(draw, label, { x: behind.x, y: behind.y + 4 }, colours.ink, colours.paper, align);
}
