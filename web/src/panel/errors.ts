import { metres, say, shape, the } from "../page.ts";
import type { Errors } from "../world.ts";

const SIZE = { width: 340, height: 168, left: 42, right: 10, top: 10, bottom: 26 };
const MARKS = [0.5, 0.9];
const FEW = 3;

/** The share of fixes that are off by no more than so much. */
export function showErrors(errors: Errors | null): void {
  const known = errors !== null && errors.sorted.length >= FEW;
  the("errors-none").hidden = known;
  the("errors-known").hidden = !known;
  if (!known) return;
  const { sorted, held } = errors;
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const told =
    `Half are within ${metres(at(0.5))}, nine of ten within ${metres(at(0.9))}. ` +
    `${Math.round(100 * held)} % lie inside their 90 % ellipse (${sorted.length} fixes).`;
  say(the("errors-told"), told);
  draw(sorted, at);
}

function draw(sorted: number[], at: (share: number) => number): void {
  const most = nice(at(0.99) * 1.05);
  const { width, height, left, right, top, bottom } = SIZE;
  const x = (error: number) => left + ((width - left - right) * Math.min(error, most)) / most;
  const y = (share: number) => height - bottom - (height - top - bottom) * share;
  const shapes: SVGElement[] = [];
  const words = (text: string, px: number, py: number, anchor: string) => {
    const element = shape("text", { x: px, y: py, "text-anchor": anchor });
    element.textContent = text;
    shapes.push(element);
  };
  for (const share of [0, 0.5, 0.9, 1]) {
    shapes.push(shape("path", { class: "grid", d: `M${left} ${y(share)}H${width - right}` }));
    if (share !== 0.9) words(`${100 * share} %`, left - 6, y(share) + 4, "end");
  }
  words("90", left - 6, y(0.9) + 6, "end");
  for (let i = 0; i <= 4; i++) {
    const error = (most * i) / 4;
    const anchor = i === 4 ? "end" : i ? "middle" : "start";
    words(`${+error.toFixed(2)}${i === 4 ? " m" : ""}`, x(error), height - 8, anchor);
  }
  const step = Math.max(1, Math.floor(sorted.length / 200));
  const within = sorted.filter((error) => error <= most).length;
  let line = `M${x(0)} ${y(0)}`;
  for (let i = 0; i < within; i += step) {
    line += `L${x(sorted[i] ?? 0).toFixed(1)} ${y((i + 1) / sorted.length).toFixed(1)}`;
  }
  line += `L${x(sorted[within - 1] ?? 0).toFixed(1)} ${y(within / sorted.length).toFixed(1)}H${x(most)}`;
  shapes.push(shape("path", { class: "under", d: `${line}V${y(0)}Z` }));
  shapes.push(shape("path", { class: "curve", d: line }));
  for (const share of MARKS) {
    const error = at(share);
    shapes.push(shape("path", { class: "drop", d: `M${x(error)} ${y(share)}V${y(0)}` }));
    shapes.push(shape("circle", { class: "mark", cx: x(error), cy: y(share), r: 4 }));
  }
  the("errors-chart").replaceChildren(...shapes);
}

function nice(length: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(length, 1e-3)));
  return ([1, 2, 3, 4, 6, 8, 10].find((one) => one * power >= length) ?? 10) * power;
}
