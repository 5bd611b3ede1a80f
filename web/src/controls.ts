import type { Point } from "./camera.ts";
import type { View } from "./view.ts";

const STEP = 80;
const ZOOM = 1.35;
const TURN = Math.PI / 12;
/** A press that moves less is a choice, not a drag [px]. */
const CLICK = 5;

/** Pointers, the wheel and keys, on the map. */
export function control(canvas: HTMLCanvasElement, view: View, choose: (at: Point) => void): void {
  pointers(canvas, view, choose);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
      view.camera.zoomBy(Math.exp(-event.deltaY * lines * 0.0015), at(canvas, event));
      view.changed();
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(view);
  });
}

export function zoom(view: View, closer: boolean): void {
  view.camera.zoomBy(closer ? ZOOM : 1 / ZOOM);
  view.changed();
}

export function turn(view: View, clockwise: boolean): void {
  view.camera.turnBy(clockwise ? TURN : -TURN);
  view.changed();
}

export function northUp(view: View): void {
  view.camera.heading = 0;
  view.changed();
}

function pan(view: View, dx: number, dy: number): void {
  view.follow = false;
  view.camera.panBy(dx, dy);
  view.changed();
}

const KEYS: Record<string, (view: View) => void> = {
  ArrowLeft: (view) => pan(view, STEP, 0),
  ArrowRight: (view) => pan(view, -STEP, 0),
  ArrowUp: (view) => pan(view, 0, STEP),
  ArrowDown: (view) => pan(view, 0, -STEP),
  "+": (view) => zoom(view, true),
  "=": (view) => zoom(view, true),
  "-": (view) => zoom(view, false),
  "0": (view) => view.fit(),
  q: (view) => turn(view, false),
  e: (view) => turn(view, true),
  n: northUp,
};

function pointers(canvas: HTMLCanvasElement, view: View, choose: (at: Point) => void): void {
  const down = new Map<number, Point>();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(canvas, event));
    if (down.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) {
      canvas.classList.toggle("over", view.at(at(canvas, event)) !== null);
      return;
    }
    const now = at(canvas, event);
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (other) pinch(view, other, before, now);
    else if (moved > CLICK) pan(view, now.x - before.x, now.y - before.y);
    down.set(event.pointerId, now);
  });
  const up = (event: PointerEvent) => {
    if (!down.delete(event.pointerId)) return;
    if (event.type === "pointerup" && !down.size && moved <= CLICK) choose(at(canvas, event));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
}

/** Two fingers: one stays, the other moves; both zoom and shift. */
function pinch(view: View, still: Point, before: Point, now: Point): void {
  const apart = (p: Point) => Math.max(10, Math.hypot(p.x - still.x, p.y - still.y));
  const middle = (p: Point) => ({ x: (p.x + still.x) / 2, y: (p.y + still.y) / 2 });
  view.camera.zoomBy(apart(now) / apart(before), middle(before));
  const [from, to] = [middle(before), middle(now)];
  pan(view, to.x - from.x, to.y - from.y);
}

function at(canvas: HTMLCanvasElement, event: MouseEvent): Point {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}
