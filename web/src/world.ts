import { holds, type Plane } from "./ellipse.ts";
import type { Fix, Frame } from "./wire.ts";

const TAIL = 48;
const PEOPLE = 500;
const STRANGERS = 500;
const ERRORS = 2_000;
const LATENCIES = 2_000;
/** After which a user is drawn pale, and after which one is forgotten [ms]. */
export const PALE = 15_000;
const FORGOTTEN = 300_000;
/** For which a fix without a user is drawn [ms]. */
export const FADING = 20_000;
const MINUTE = 60_000;
/** Over which rates are taken [ms]. */
const WINDOW = 10_000;

export interface Spot {
  x: number;
  y: number;
  plane: Plane;
}

export interface Person {
  user: number;
  fix: Fix;
  spot: Spot;
  /** Where it was drawn when this fix came. */
  from: Spot;
  came: number;
  tail: { x: number; y: number }[];
  error: number | null;
}

export interface Stranger {
  fix: Fix;
  spot: Spot;
  came: number;
}

export interface Errors {
  sorted: number[];
  /** Share within the stated ellipse of 90 %. */
  held: number;
}

/** Everything that is known of the users, from frame to frame. */
export class World {
  readonly people = new Map<number, Person>();
  strangers: Stranger[] = [];
  #errors: { error: number; held: boolean }[] = [];
  #latencies: { at: number; seconds: number }[] = [];
  #made: { at: number; made: number }[] = [];

  /** Takes a frame in; `eased` says where somebody is drawn at the moment. */
  take(frame: Frame, now: number, eased: (person: Person, now: number) => Spot): void {
    const last = this.#made.at(-1);
    // A server that was started anew counts from nothing.
    if (last && frame.made < last.made) this.#made = [];
    this.#made.push({ at: now, made: frame.made });
    this.#made = this.#made.filter((one) => now - one.at <= MINUTE);
    this.#latencies.push(...frame.seconds.map((seconds) => ({ at: now, seconds })));
    this.#latencies = this.#latencies
      .slice(-LATENCIES)
      .filter((one) => now - one.at <= MINUTE);
    for (const fix of frame.fixes) this.#fix(fix, now, eased);
    this.#errors = this.#errors.slice(-ERRORS);
    this.strangers = this.strangers.slice(-STRANGERS);
  }

  /** Forgets who has long been silent. */
  forget(now: number): void {
    this.strangers = this.strangers.filter((one) => now - one.came <= FADING);
    for (const [user, person] of this.people) {
      if (now - person.came > FORGOTTEN) this.people.delete(user);
    }
  }

  /** Fixes a second. */
  rate(now: number): number {
    return this.#rateOf(now, WINDOW);
  }

  /** Of each second of the last minute, the latest last. */
  rates(now: number): number[] {
    return Array.from({ length: 60 }, (_, i) => this.#rateOf(now - (59 - i) * 1_000, 2_000));
  }

  /** A quantile of the seconds from a request to its fixes, over the last minute. */
  latency(share: number): number | null {
    const sorted = this.#latencies.map((one) => one.seconds).sort((a, b) => a - b);
    return sorted[Math.floor(share * (sorted.length - 1))] ?? null;
  }

  errors(): Errors | null {
    if (!this.#errors.length) return null;
    const sorted = this.#errors.map((one) => one.error).sort((a, b) => a - b);
    const held = this.#errors.filter((one) => one.held).length / this.#errors.length;
    return { sorted, held };
  }

  #rateOf(now: number, window: number): number {
    const until = this.#made.filter((one) => one.at <= now);
    const last = until.at(-1);
    const first = until.findLast((one) => one.at < now - window) ?? until[0];
    if (!last || !first || last === first) return 0;
    return (last.made - first.made) / (Math.max(now - first.at, 1_000) / 1_000);
  }

  #fix(fix: Fix, now: number, eased: (person: Person, now: number) => Spot): void {
    if (!fix.position || !fix.covariance) return;
    const [x, y] = fix.position;
    const spot = { x, y, plane: fix.covariance };
    let error: number | null = null;
    if (fix.truth) {
      const [dx, dy] = [x - fix.truth[0], y - fix.truth[1]];
      error = Math.hypot(dx, dy);
      this.#errors.push({ error, held: holds(fix.covariance, dx, dy) });
    }
    if (fix.user === null) {
      this.strangers.push({ fix, spot, came: now });
      return;
    }
    const before = this.people.get(fix.user);
    const tail = before ? [...before.tail, { x, y }].slice(-TAIL) : [{ x, y }];
    const from = before ? eased(before, now) : spot;
    this.people.set(fix.user, { user: fix.user, fix, spot, from, came: now, tail, error });
    if (this.people.size > PEOPLE) {
      const oldest = [...this.people.values()].reduce((a, b) => (a.came <= b.came ? a : b));
      this.people.delete(oldest.user);
    }
  }
}
