import { ellipse, type Plane } from "../ellipse.ts";
import { made, metres, say, the } from "../page.ts";
import type { Place } from "../wire.ts";

export interface Shown {
  title: string;
  position: Place;
  plane: Plane;
  trusted: boolean;
  error: number | null;
  stations: { name: string; weight: number }[];
}

/** What is known of the chosen one, in words and bars. */
export function showChosen(shown: Shown | null): void {
  the("chosen-none").hidden = shown !== null;
  the("chosen-known").hidden = shown === null;
  if (!shown) {
    say(the("chosen-title"), "Nobody chosen");
    return;
  }
  say(the("chosen-title"), shown.title);
  const [x, y] = shown.position;
  say(the("chosen-place"), `x ${x.toFixed(2)} m, y ${y.toFixed(2)} m`);
  const { major, minor } = ellipse(shown.plane);
  say(the("chosen-ellipse"), `± ${metres(major)} by ± ${metres(minor)}`);
  say(the("chosen-error"), shown.error === null ? "not known" : metres(shown.error));
  const trust = shown.trusted ? "yes" : "no, a hint at most";
  say(the("chosen-trusted"), trust);
  the("chosen-trusted").classList.toggle("doubt", !shown.trusted);
  const bars = the("chosen-weights");
  const names = [...bars.children].map((one) => (one as HTMLElement).dataset["name"]);
  if (names.join("\n") !== shown.stations.map((one) => one.name).join("\n")) {
    bars.replaceChildren(...shown.stations.map(({ name }) => bar(name)));
  }
  for (const [i, { weight }] of shown.stations.entries()) {
    const item = bars.children[i];
    const [, track, share] = [...(item?.children ?? [])] as HTMLElement[];
    const filled = track?.firstElementChild as HTMLElement | null;
    if (filled) filled.style.width = `${(100 * weight).toFixed(1)}%`;
    if (share) say(share, `${Math.round(100 * weight)} %`);
  }
}

function bar(name: string): HTMLLIElement {
  const item = made("li");
  item.dataset["name"] = name;
  const track = made("span", "track");
  track.append(made("span", "filled"));
  item.append(made("span", "name", name), track, made("span", "share"));
  return item;
}
