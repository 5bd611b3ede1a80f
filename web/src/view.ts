import { Camera, type Box, type Point } from "./camera.ts";
import { drawGround, drawScale, write } from "./drawing/ground.ts";
import { palette, type Palette } from "./drawing/palette.ts";
import {
  drawDot,
  drawEllipse,
  drawStranger,
  drawTail,
  drawTruth,
  drawWeights,
  eased,
  moving,
  presence,
  type FromFile,
  type Layers,
} from "./drawing/people.ts";
import type { SceneMap, Station } from "./wire.ts";
import type { Person, World } from "./world.ts";

const REACH = 20;
const FOLLOWED = 8;
const TURN = 400;
/** Away from straight down, and to the side, so that walls are seen [rad]. */
const LEAN = (48 * Math.PI) / 180;
const ASIDE = -0.45;

interface Pose {
  tilt: number;
  heading: number;
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** The map: two canvases, of which the lower is drawn anew only when the view changes. */
export class View {
  readonly camera = new Camera();
  layers: Layers = { ellipses: true, tails: true, weights: true, truth: true };
  map: SceneMap = { frame: "", extent: null, about: null, features: [] };
  stations: Station[] = [];
  chosen: number | null = null;
  chosenRow: number | null = null;
  follow = false;
  fromFile: FromFile[] = [];
  /** Requests of this page's own files, which are drawn as such. */
  readonly own = new Set<number>();
  moved: () => void = () => {};

  readonly #ground: HTMLCanvasElement;
  readonly #people: HTMLCanvasElement;
  readonly #world: World;
  #colours: Palette = palette();
  #stale = true;
  #asked = 0;
  #tilting: { from: Pose; to: Pose; began: number } | null = null;
  #fitted = false;

  constructor(ground: HTMLCanvasElement, people: HTMLCanvasElement, world: World) {
    this.#ground = ground;
    this.#people = people;
    this.#world = world;
    new ResizeObserver(() => this.#resize()).observe(people);
    this.#resize();
  }

  /** Has it drawn soon; the ground too where that has changed. */
  redraw(ground = false): void {
    this.#stale ||= ground;
    this.#asked ||= requestAnimationFrame((now) => this.#draw(now));
  }

  recolour(): void {
    this.#colours = palette();
    this.redraw(true);
  }

  /** The view was changed by hand. */
  changed(): void {
    this.#fitted = false;
    this.redraw(true);
    this.moved();
  }

  /** Shows everything there is. */
  fit(): void {
    const phone = this.camera.width < 600;
    this.camera.fit(this.#everything(), true, { x: phone ? 24 : 48, y: phone ? 56 : 64 });
    this.changed();
    this.#fitted = true;
  }

  fitBox(box: Box): void {
    this.camera.fit(box, false, { x: 80, y: 80 });
    this.changed();
  }

  /** Leans back, a little to the side, or looks straight down again; gives which. */
  tilt(): boolean {
    const tilted = (this.#tilting?.to.tilt ?? this.camera.tilt) > 0;
    const { tilt, heading } = this.camera;
    const to = { tilt: tilted ? 0 : LEAN, heading: heading + (tilted ? -ASIDE : ASIDE) };
    if (still.matches) Object.assign(this.camera, to);
    else this.#tilting = { from: { tilt, heading }, to, began: performance.now() };
    this.changed();
    return !tilted;
  }

  /** Who is drawn nearest to a point of the screen. */
  at(point: Point): { user: number } | { row: number } | null {
    const now = performance.now();
    let [best, found] = [REACH, null as { user: number } | { row: number } | null];
    const near = (x: number, y: number, what: { user: number } | { row: number }) => {
      const spot = this.camera.project(x, y, 1.5);
      const distance = Math.hypot(spot.x - point.x, spot.y - point.y);
      if (distance < best) [best, found] = [distance, what];
    };
    for (const person of this.#world.people.values()) {
      const spot = eased(person, now);
      near(spot.x, spot.y, { user: person.user });
    }
    for (const one of this.fromFile) near(one.position[0], one.position[1], { row: one.row });
    return found;
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#people;
    const ratio = Math.min(devicePixelRatio || 1, 2.5);
    for (const canvas of [this.#ground, this.#people]) {
      canvas.width = Math.max(1, Math.round(clientWidth * ratio));
      canvas.height = Math.max(1, Math.round(clientHeight * ratio));
      canvas.getContext("2d")?.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.camera.width = Math.max(1, clientWidth);
    this.camera.height = Math.max(1, clientHeight);
    if (this.#fitted) this.fit();
    else this.redraw(true);
  }

  #everything(): Box {
    const places = this.stations.map((one) => [one.position[0], one.position[1]]);
    const extent = this.map.extent;
    if (extent) places.push([extent[0], extent[1]], [extent[2], extent[3]]);
    for (const one of this.fromFile) places.push([one.position[0], one.position[1]]);
    if (!places.length) {
      for (const one of this.#world.people.values()) places.push([one.spot.x, one.spot.y]);
      for (const one of this.#world.strangers) places.push([one.spot.x, one.spot.y]);
      for (const one of this.map.features) places.push(...(one.geometry.coordinates[0] ?? []));
    }
    if (!places.length) return { west: -50, south: -50, east: 50, north: 50 };
    const [xs, ys] = [places.map((p) => p[0] ?? 0), places.map((p) => p[1] ?? 0)];
    const [west, south] = [Math.min(...xs), Math.min(...ys)];
    return { west, south, east: Math.max(...xs), north: Math.max(...ys) };
  }

  #draw(now: number): void {
    this.#asked = 0;
    this.#turn(now);
    this.#pursue(now);
    const ground = this.#ground.getContext("2d");
    const draw = this.#people.getContext("2d");
    if (!ground || !draw) return;
    if (this.#stale) {
      drawGround(ground, this.camera, this.#colours, this.map, this.stations);
      drawScale(ground, this.camera, this.#colours);
      this.#stale = false;
    }
    draw.clearRect(0, 0, this.camera.width, this.camera.height);
    this.#drawPeople(draw, now);
    this.#drawFile(draw);
    if (this.#tilting || moving(this.#world.people.values(), now)) this.redraw();
  }

  #drawPeople(draw: CanvasRenderingContext2D, now: number): void {
    const colours = this.#colours;
    // The chosen one last, on top of all others.
    const people = [...this.#world.people.values()].sort(
      (a, b) => Number(a.user === this.chosen) - Number(b.user === this.chosen),
    );
    const strangers = this.#world.strangers.filter((one) => !this.own.has(one.fix.request));
    for (const one of strangers) {
      drawStranger(draw, this.camera, colours, one, this.layers, now);
    }
    for (const person of people) this.#drawBelow(draw, person, now);
    for (const person of people) this.#drawAbove(draw, person, now);
  }

  #drawBelow(draw: CanvasRenderingContext2D, person: Person, now: number): void {
    const chosen = person.user === this.chosen;
    if (this.layers.tails) drawTail(draw, this.camera, this.#colours, person, chosen, now);
    if (this.layers.weights && (chosen || presence(person, now) === 1)) {
      const spot = eased(person, now);
      drawWeights(draw, this.camera, this.#colours, spot, person.fix.stations, chosen);
    }
  }

  #drawAbove(draw: CanvasRenderingContext2D, person: Person, now: number): void {
    const [colours, spot] = [this.#colours, eased(person, now)];
    const chosen = person.user === this.chosen;
    const { trusted, truth } = person.fix;
    const colour = chosen ? colours.chosen : trusted ? colours.fix : colours.doubt;
    const strength = presence(person, now);
    if (this.layers.ellipses) {
      const style = { strength, dashed: !trusted, width: chosen ? 2 : 1.25 };
      drawEllipse(draw, this.camera, colour, spot, style);
    }
    draw.globalAlpha = strength;
    // A line to where somebody was a fix ago would be as wrong as it looks.
    if (this.layers.truth && truth) {
      drawTruth(draw, this.camera, colours, spot, truth);
    }
    const at = this.camera.project(spot.x, spot.y, 1.5);
    // Small where the whole street is seen, so that ellipses are too.
    const dot = Math.min(4.5, Math.max(2.8, 0.6 * this.camera.scale));
    drawDot(draw, at, colour, colours.street, dot + (chosen ? 1 : 0), trusted);
    draw.globalAlpha = 1;
    if (chosen || this.camera.scale >= FOLLOWED) {
      const text = `user ${person.user}`;
      write(draw, text, { x: at.x + 10, y: at.y - 9 }, colour, colours.street, "left");
    }
  }

  #drawFile(draw: CanvasRenderingContext2D): void {
    const colours = this.#colours;
    for (const one of this.fromFile) {
      const [x, y] = one.position;
      const spot = { x, y, plane: one.plane };
      const chosen = one.row === this.chosenRow;
      const style = { strength: 1, dashed: !one.trusted, width: chosen ? 2.5 : 1.25 };
      drawEllipse(draw, this.camera, colours.file, spot, style);
      if (one.truth) drawTruth(draw, this.camera, colours, spot, one.truth);
      const at = this.camera.project(x, y, 1.5);
      drawDot(draw, at, colours.file, colours.street, chosen ? 6.5 : 5, one.trusted);
      if (chosen || this.fromFile.length <= 12) {
        const text = `row ${one.row}`;
        write(draw, text, { x: at.x + 10, y: at.y - 9 }, colours.file, colours.street, "left");
      }
    }
  }

  #turn(now: number): void {
    if (!this.#tilting) return;
    const { from, to, began } = this.#tilting;
    const share = Math.min(1, Math.max(0, (now - began) / TURN));
    const step = 1 - (1 - share) ** 3;
    this.camera.tilt = from.tilt + (to.tilt - from.tilt) * step;
    this.camera.heading = from.heading + (to.heading - from.heading) * step;
    if (share === 1) this.#tilting = null;
    this.#stale = true;
    this.moved();
  }

  #pursue(now: number): void {
    const person = this.chosen === null ? null : this.#world.people.get(this.chosen);
    if (!this.follow || !person) return;
    const spot = eased(person, now);
    if (Math.hypot(spot.x - this.camera.x, spot.y - this.camera.y) * this.camera.scale < 1) return;
    this.camera.x = spot.x;
    this.camera.y = spot.y;
    this.#stale = true;
  }

  /** Follows whoever is chosen, near enough to see the ellipse. */
  pursue(): void {
    this.follow = true;
    this.camera.scale = Math.max(this.camera.scale, FOLLOWED);
    this.changed();
  }
}
