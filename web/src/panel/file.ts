import { ellipse, type Plane } from "../ellipse.ts";
import type { FromFile } from "../drawing/people.ts";
import { made, metres, say, the } from "../page.ts";
import { TokenNeeded, type Server } from "../server.ts";
import type { Fix, LocateAnswer, Located } from "../wire.ts";

/** What `radiofix locate` takes; the server tells HDF5 from MATLAB by its first bytes. */
const KINDS = new Map([
  ["npz", "application/x-npz"],
  ["npy", "application/x-npy"],
  ["mat", "application/x-matlab-data"],
  ["h5", "application/x-hdf5"],
  ["hdf5", "application/x-hdf5"],
]);
const LISTED = 200;

export interface FileFix extends FromFile {
  user: number;
  stations: { name: string; weight: number }[];
}

/** Files of CSI that are dropped or chosen, and where their users were. */
export class Files {
  fixes: FileFix[] = [];
  request = -1;
  readonly #server: Server;
  readonly #changed: () => void;
  readonly #choose: (row: number) => void;
  readonly #locked: () => void;

  constructor(
    server: Server,
    changed: () => void,
    choose: (row: number) => void,
    locked: () => void,
  ) {
    [this.#server, this.#changed] = [server, changed];
    [this.#choose, this.#locked] = [choose, locked];
    const input = the<HTMLInputElement>("file-input");
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) void this.locate(file);
      input.value = "";
    });
    the("file-clear").addEventListener("click", () => this.#clear());
    this.#receiveDrops();
  }

  async locate(file: File): Promise<void> {
    const kind = KINDS.get(file.name.toLowerCase().split(".").pop() ?? "");
    if (!kind) {
      this.#told(`${file.name} is none of .${[...KINDS.keys()].join(", .")}: save it as one.`, true);
      return;
    }
    this.#told(`Locating ${file.name}…`, false);
    try {
      const address = `v1/locate${this.#query()}`;
      const answer = await this.#server.post<LocateAnswer>(address, file, kind);
      this.#take(file.name, answer);
    } catch (error) {
      if (error instanceof TokenNeeded) {
        this.#told("The server wants a token first.", true);
        this.#locked();
      } else {
        const reason = error instanceof Error ? error.message : `${error}`;
        this.#told(`${file.name}: ${reason}`, true);
      }
    }
  }

  /** Takes from the stream what the answer does not tell: the truth, where the file has it. */
  learn(fix: Fix): void {
    if (fix.request !== this.request || !fix.truth) return;
    const own = this.fixes.find((one) => one.row === fix.row);
    if (own) own.truth = fix.truth;
  }

  #take(name: string, answer: LocateAnswer): void {
    this.request = answer.number;
    this.fixes = answer.fixes.flatMap((fix, row) => known(fix, row));
    const [all, found] = [answer.fixes.length, this.fixes.length];
    const trusted = this.fixes.filter((one) => one.trusted).length;
    const of = all === 1 ? "1 fix" : `${all} fixes`;
    const unheard = found < all ? `, ${all - found} heard by nobody` : "";
    this.#told(`${name}: ${of}, ${trusted} trusted${unheard}.`, false);
    this.#list();
    this.#changed();
  }

  /** Marks a row of the list as the chosen one. */
  mark(row: number | null): void {
    for (const [i, item] of [...the("file-list").children].entries()) {
      item.firstElementChild?.setAttribute("aria-pressed", `${this.fixes[i]?.row === row}`);
    }
  }

  #list(): void {
    const items = this.fixes.slice(0, LISTED).map((one) => {
      const item = made("li");
      const row = made("button", "user file");
      row.type = "button";
      const { major } = ellipse(one.plane);
      const [x, y] = one.position;
      row.append(
        made("span", "dot"),
        made("span", "name", `Row ${one.row}`),
        made("span", "off", `${x.toFixed(1)}, ${y.toFixed(1)} ± ${metres(major)}`),
        made("span", "tag", one.trusted ? "" : "not trusted"),
      );
      row.addEventListener("click", () => this.#choose(one.row));
      item.append(row);
      return item;
    });
    the("file-list").replaceChildren(...items);
    const more = this.fixes.length - items.length;
    say(the("file-more"), more > 0 ? `and ${more} more, on the map` : "");
    the("file-clear").hidden = !this.fixes.length;
  }

  #clear(): void {
    [this.fixes, this.request] = [[], -1];
    this.#told("", false);
    this.#list();
    this.#changed();
    the("file-input").focus();
  }

  #told(text: string, wrong: boolean): void {
    const element = the("file-told");
    say(element, text);
    element.classList.toggle("wrong", wrong);
  }

  #query(): string {
    const query = new URLSearchParams();
    const bandwidth = the<HTMLInputElement>("file-bandwidth").valueAsNumber;
    const spacing = the<HTMLInputElement>("file-spacing").valueAsNumber;
    if (bandwidth > 0) query.set("bandwidth", `${bandwidth * 1e6}`);
    if (spacing > 0) query.set("ula_spacing", `${spacing}`);
    return query.size ? `?${query}` : "";
  }

  #receiveDrops(): void {
    const veil = the("veil");
    const holdsFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    addEventListener("dragover", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      veil.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) veil.hidden = true;
    });
    addEventListener("drop", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      veil.hidden = true;
      const file = event.dataTransfer?.files[0];
      if (file) void this.locate(file);
    });
  }
}

function known(fix: Located, row: number): FileFix[] {
  if (!fix.position || !fix.covariance) return [];
  const [x, y] = fix.covariance;
  const plane: Plane = [x[0], x[1], y[1]];
  const { position, trusted, user, stations } = fix;
  return [{ row, user, position, plane, trusted, stations, truth: null }];
}
