import { ellipse } from "../ellipse.ts";
import { made, metres, say, the } from "../page.ts";
import { PALE, type Person, type World } from "../world.ts";

const LISTED = 80;

/** The users as a list of buttons, which stay where they are while their words change. */
export class Users {
  readonly #list = the("user-list");
  readonly #rows = new Map<number, HTMLButtonElement>();
  readonly #choose: (user: number) => void;

  constructor(choose: (user: number) => void) {
    this.#choose = choose;
  }

  show(world: World, chosen: number | null, now: number): void {
    const people = [...world.people.values()].sort((a, b) => a.user - b.user);
    const listed = people.slice(0, LISTED);
    const users = new Set(listed.map((one) => one.user));
    for (const [user, row] of this.#rows) {
      if (users.has(user)) continue;
      row.parentElement?.remove();
      this.#rows.delete(user);
    }
    for (const person of listed) this.#row(person, chosen === person.user, now);
    if (this.#list.childElementCount !== this.#rows.size) this.#order(listed);
    the("users-none").hidden = people.length > 0;
    const more = people.length - listed.length;
    say(the("users-more"), more > 0 ? `and ${more} more` : "");
  }

  #row(person: Person, chosen: boolean, now: number): void {
    let row = this.#rows.get(person.user);
    if (!row) {
      row = made("button", "user");
      row.type = "button";
      row.append(made("span", "dot"), made("span", "name"), made("span", "off"), made("span", "tag"));
      row.addEventListener("click", () => this.#choose(person.user));
      this.#rows.set(person.user, row);
    }
    row.setAttribute("aria-pressed", `${chosen}`);
    row.classList.toggle("doubt", !person.fix.trusted);
    row.classList.toggle("pale", now - person.came > PALE);
    const [, name, off, tag] = [...row.children] as HTMLElement[];
    if (name) say(name, `User ${person.user}`);
    const { major } = ellipse(person.spot.plane);
    const error = person.error === null ? `± ${metres(major)}` : `off by ${metres(person.error)}`;
    if (off) say(off, error);
    const silent = now - person.came > PALE ? `silent ${age(now - person.came)}` : "";
    if (tag) say(tag, person.fix.trusted ? silent : "not trusted");
  }

  #order(listed: Person[]): void {
    const held = document.activeElement;
    const items = listed.map(({ user }) => {
      const item = made("li");
      item.append(this.#rows.get(user) as HTMLElement);
      return item;
    });
    this.#list.replaceChildren(...items);
    // What is moved loses the focus.
    if (held instanceof HTMLButtonElement && this.#list.contains(held)) held.focus();
  }
}

function age(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1_000);
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
