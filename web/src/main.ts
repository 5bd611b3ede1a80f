import "./style.css";
import { control, northUp, turn, zoom } from "./controls.ts";
import { eased, type Layers } from "./drawing/people.ts";
import { made, say, the } from "./page.ts";
import { Channel } from "./panel/channel.ts";
import { showChosen, type Shown } from "./panel/chosen.ts";
import { showErrors } from "./panel/errors.ts";
import { showFigures } from "./panel/figures.ts";
import { Files } from "./panel/file.ts";
import { Users } from "./panel/users.ts";
import { Live, Server, TokenNeeded, type Link } from "./server.ts";
import { theme } from "./theme.ts";
import { View } from "./view.ts";
import type { Frame, SceneMap, Station } from "./wire.ts";
import { World } from "./world.ts";

const REFRESH = 500;
/** After which an open stream without fixes is said to be quiet [ms]. */
const QUIET = 10_000;

const server = new Server();
const world = new World();
const canvas = the<HTMLCanvasElement>("people");
const view = new View(the<HTMLCanvasElement>("ground"), canvas, world);
const channel = new Channel(server);
const users = new Users((user) => chooseUser(user));
const files = new Files(server, showFile, chooseRow, askToken);
const live = new Live(server, take, showLink);
let link: Link = { state: "connecting" };
let latest = -Infinity;
let touched = false;

function take(frame: Frame): void {
  const now = performance.now();
  world.take(frame, now, eased);
  for (const fix of frame.fixes) files.learn(fix);
  if (frame.fixes.length) latest = now;
  // Somebody is shown at first, until a person chooses.
  if (view.chosen === null && !touched) {
    const first = [...world.people.keys()].sort((a, b) => a - b)[0];
    if (first !== undefined) chooseUser(first, false);
  }
  view.redraw();
}

function chooseUser(user: number | null, byHand = true): void {
  touched ||= byHand;
  view.chosen = user !== null && byHand && user === view.chosen ? null : user;
  view.chosenRow = null;
  if (view.chosen === null) follow(false);
  channel.choose(view.chosen === null ? null : { user: view.chosen });
  refresh();
  view.redraw();
}

function chooseRow(row: number): void {
  touched = true;
  const fix = files.fixes.find((one) => one.row === row);
  if (!fix) return;
  view.chosen = null;
  view.chosenRow = row;
  follow(false);
  // Rows of a file that numbers its users are kept under those numbers.
  const numbered = world.people.get(fix.user)?.fix.request === files.request;
  channel.choose(numbered ? { user: fix.user } : { request: files.request, row });
  refresh();
  view.redraw();
}

function showFile(): void {
  if (files.request >= 0) view.own.add(files.request);
  view.fromFile = files.fixes;
  view.chosenRow = null;
  if (files.fixes.length) {
    view.follow = false;
    const [xs, ys] = [files.fixes.map((f) => f.position[0]), files.fixes.map((f) => f.position[1])];
    const [west, south] = [Math.min(...xs) - 15, Math.min(...ys) - 15];
    view.fitBox({ west, south, east: Math.max(...xs) + 15, north: Math.max(...ys) + 15 });
  }
  view.redraw();
}

function shown(): Shown | null {
  const row = files.fixes.find((one) => one.row === view.chosenRow);
  if (row) {
    const { position, plane, trusted, truth, stations } = row;
    const error = truth && Math.hypot(position[0] - truth[0], position[1] - truth[1]);
    return { title: `Row ${row.row} of the file`, position, plane, trusted, error, stations };
  }
  const person = view.chosen === null ? undefined : world.people.get(view.chosen);
  if (!person?.fix.position) return null;
  const { position, trusted, stations } = person.fix;
  const { plane } = person.spot;
  return { title: `User ${person.user}`, position, plane, trusted, error: person.error, stations };
}

function refresh(): void {
  const now = performance.now();
  world.forget(now);
  if (view.chosen !== null && !world.people.has(view.chosen)) chooseUser(null, false);
  showFigures(world, now);
  showErrors(world.errors());
  users.show(world, view.chosen, now);
  files.mark(view.chosenRow);
  const one = shown();
  showChosen(one);
  the("follow").hidden = view.chosen === null;
  the("empty").hidden =
    link.state !== "open" || world.people.size + world.strangers.length + files.fixes.length > 0;
  if (one) {
    const fix = world.people.get(view.chosen ?? NaN)?.fix;
    void channel.refresh(fix ? `${fix.request}.${fix.row}` : one.title, now);
  }
  tellLink();
  if (world.strangers.length) view.redraw();
}

function showLink(now: Link): void {
  link = now;
  tellLink();
  // A server that was started anew may want another token, or have moved its stations.
  if (now.state === "waiting" || (now.state === "open" && !begun)) void begin();
}

function tellLink(): void {
  const quiet = performance.now() - latest > QUIET;
  const lost = link.state === "waiting";
  const seconds = link.state === "waiting" ? Math.max(0, Math.ceil((link.until - Date.now()) / 1_000)) : 0;
  const words = { connecting: "Connecting…", open: quiet ? "Live, quiet" : "Live", waiting: "Not connected" };
  const pill = the("link");
  pill.dataset["state"] = link.state === "open" && quiet ? "quiet" : link.state;
  say(the("link-told"), words[link.state]);
  the("lost").hidden = !lost || !the("lock").hidden;
  if (lost) say(the("lost-told"), seconds ? `Trying again in ${seconds} s.` : "Trying again…");
}

let beginning = false;
let begun = false;

/** Reads the scene; gives whether the server let us. Without a server the stream tries again. */
async function begin(): Promise<boolean> {
  if (beginning) return false;
  beginning = true;
  try {
    const [map, { stations }, { models }] = await Promise.all([
      server.get<SceneMap>("v1/map"),
      server.get<{ stations: Station[] }>("v1/stations"),
      server.get<{ models: { name: string; serving: boolean }[] }>("v1/models"),
    ]);
    [view.map, view.stations] = [map, stations];
    say(the("model"), models.find((one) => one.serving)?.name ?? "");
    say(the("about"), map.about ?? "");
    the("about").hidden = !map.about;
    the("lock").hidden = true;
    if (!begun) view.fit();
    begun = true;
    view.redraw(true);
    return true;
  } catch (error) {
    if (!(error instanceof TokenNeeded)) return true;
    askToken();
    return false;
  } finally {
    beginning = false;
  }
}

async function enter(): Promise<void> {
  if (await begin()) live.open();
}

function askToken(): void {
  live.close();
  const wrong = server.token !== "";
  server.token = "";
  the("lock").hidden = false;
  say(the("lock-told"), wrong ? "The server does not know this token." : "");
  the("lost").hidden = true;
  the<HTMLInputElement>("token").focus();
}

function follow(on: boolean): void {
  if (on) view.pursue();
  else view.follow = false;
  tellFollow();
}

function tellFollow(): void {
  the("follow").setAttribute("aria-pressed", `${view.follow}`);
}

function layer(name: keyof Layers): void {
  const button = the(`layer-${name}`);
  button.addEventListener("click", () => {
    view.layers = { ...view.layers, [name]: !view.layers[name] };
    button.setAttribute("aria-pressed", `${view.layers[name]}`);
    view.redraw();
  });
}

function tellHeading(): void {
  const needle = the("needle");
  needle.style.transform = `rotate(${-view.camera.heading}rad)`;
  tellFollow();
}

function tilt(): void {
  the("tilt").setAttribute("aria-pressed", `${view.tilt()}`);
}

control(canvas, view, (at) => {
  const found = view.at(at);
  if (found && "row" in found) chooseRow(found.row);
  else if (found) chooseUser(found.user);
});
canvas.addEventListener("keydown", (event) => {
  if (event.key === "t" && !event.ctrlKey && !event.metaKey) tilt();
  if (event.key === "Escape") chooseUser(null);
});
view.moved = tellHeading;
the("closer").addEventListener("click", () => zoom(view, true));
the("farther").addEventListener("click", () => zoom(view, false));
the("fit").addEventListener("click", () => view.fit());
the("turn").addEventListener("click", () => turn(view, true));
the("north").addEventListener("click", () => northUp(view));
the("tilt").addEventListener("click", tilt);
the("follow").addEventListener("click", () => follow(!view.follow));
the("again").addEventListener("click", () => live.open());
for (const name of ["ellipses", "tails", "weights", "truth"] as const) layer(name);
the<HTMLFormElement>("lock").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = the<HTMLInputElement>("token");
  server.token = input.value.trim();
  input.value = "";
  void enter();
});
theme(() => view.recolour());
the("example").append(made("code", "", "radiofix serve --demo"));
setInterval(refresh, REFRESH);
refresh();
void enter();
