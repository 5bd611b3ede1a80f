import { made, metres, say, the } from "../page.ts";
import type { Server } from "../server.ts";
import type { ChannelAnswer, LinkShown, Picture } from "../wire.ts";
import { viridis } from "./viridis.ts";

const LIGHT = 299_792_458;
const DEGREES = 180 / Math.PI;
/** Between two looks at the same user [ms]. */
const PAUSE = 1_000;

/** Whose channel is looked at: a user, or a row of a request. */
export type Whose = { user: number } | { request: number; row: number };

/** Channels of the chosen one: magnitudes, and power over direction and delay. */
export class Channel {
  readonly #server: Server;
  #whose: Whose | null = null;
  #station = "";
  #answer: ChannelAnswer | null = null;
  #asked = -Infinity;
  #seen = "";
  #busy = false;

  constructor(server: Server) {
    this.#server = server;
  }

  choose(whose: Whose | null): void {
    this.#whose = whose;
    this.#answer = null;
    this.#asked = -Infinity;
    this.#seen = "";
    this.#show();
    the("channel").hidden = whose === null;
    say(the("channel-told"), whose ? "Looking…" : "");
  }

  /** Looks anew where there is a new fix, named by `fix`, not too often. */
  async refresh(fix: string, now: number): Promise<void> {
    const whose = this.#whose;
    if (!whose || this.#busy || fix === this.#seen || now - this.#asked < PAUSE) return;
    [this.#busy, this.#asked] = [true, now];
    try {
      const query = new URLSearchParams(Object.entries(whose).map(([k, v]) => [k, `${v}`]));
      const answer = await this.#server.get<ChannelAnswer>(`v1/channels?${query}`);
      if (this.#whose !== whose) return;
      [this.#answer, this.#seen] = [answer, fix];
      this.#show();
    } catch (error) {
      if (this.#whose === whose && !this.#answer) {
        say(the("channel-told"), error instanceof Error ? error.message : `${error}`);
      }
    } finally {
      this.#busy = false;
    }
  }

  #show(): void {
    const links = this.#answer?.links ?? [];
    the("channel-pictures").hidden = !links.length;
    this.#buttons(links);
    const link = links.find((one) => one.station === this.#station) ?? links[0];
    if (!link) return;
    const size = `${link.antennas} antennas × ${link.subcarriers} subcarriers`;
    say(the("channel-told"), `Station ${link.station}: ${size}`);
    paint(the<HTMLCanvasElement>("magnitude"), link.magnitude);
    scale(link.magnitude);
    the("profile-figure").hidden = !link.profile;
    if (!link.profile) return;
    paint(the<HTMLCanvasElement>("profile"), link.profile);
    const [near, far] = link.profile.delay.map((delay) => metres(LIGHT * delay));
    say(the("profile-near"), near ?? "");
    say(the("profile-far"), far ?? "");
    const [, most] = link.profile.azimuth;
    say(the("profile-left"), `${Math.round(most * DEGREES)}°`);
    say(the("profile-right"), `−${Math.round(most * DEGREES)}°`);
  }

  #buttons(links: LinkShown[]): void {
    const box = the("channel-stations");
    const names = links.map((one) => one.station);
    const there = [...box.children].map((one) => one.textContent);
    if (names.join("\n") !== there.join("\n")) {
      box.replaceChildren(...names.map((name) => this.#button(name)));
    }
    const shown = names.includes(this.#station) ? this.#station : names[0];
    for (const one of box.children) {
      one.setAttribute("aria-pressed", `${one.textContent === shown}`);
    }
  }

  #button(name: string): HTMLButtonElement {
    const button = made("button", "chip", name);
    button.type = "button";
    button.setAttribute("aria-label", `Channel to station ${name}`);
    button.addEventListener("click", () => {
      this.#station = name;
      this.#show();
    });
    return button;
  }
}

function scale(picture: Picture): void {
  say(the("scale-low"), `${(picture.top_db - picture.range_db).toFixed(0)} dB`);
  say(the("scale-high"), `${picture.top_db.toFixed(0)} dB`);
}

/** The first row at the bottom. */
function paint(canvas: HTMLCanvasElement, picture: Picture): void {
  const { rows, columns } = picture;
  const levels = Uint8Array.from(atob(picture.levels), (c) => c.charCodeAt(0));
  [canvas.width, canvas.height] = [columns, rows];
  const draw = canvas.getContext("2d");
  if (!draw) return;
  const image = draw.createImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [red, green, blue] = viridis(levels[row * columns + column] ?? 0);
      image.data.set([red, green, blue, 255], 4 * ((rows - 1 - row) * columns + column));
    }
  }
  draw.putImageData(image, 0, 0);
}
