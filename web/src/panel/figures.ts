import { milliseconds, say, the } from "../page.ts";
import type { World } from "../world.ts";

/** Fixes a second, their line over a minute, and how long an answer takes. */
export function showFigures(world: World, now: number): void {
  const rate = world.rate(now);
  say(the("rate"), rate >= 100 ? rate.toFixed(0) : rate.toFixed(1));
  say(the("median"), milliseconds(world.latency(0.5)));
  say(the("late"), milliseconds(world.latency(0.95)));
  say(the("users"), `${world.people.size}`);
  const rates = world.rates(now);
  const most = Math.max(...rates, 1e-9);
  const points = rates.map((one, i) => `${((100 * i) / 59).toFixed(1)},${(23 - (21 * one) / most).toFixed(1)}`);
  the("spark").querySelector("polyline")?.setAttribute("points", points.join(" "));
}
