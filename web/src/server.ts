import type { Frame } from "./wire.ts";

/** The server's word that it wants a token, or another one. */
export class TokenNeeded extends Error {}

/** Asks this page's own server. The token is kept in memory alone: a reload forgets it. */
export class Server {
  token = "";

  async get<T>(path: string): Promise<T> {
    return this.#ask<T>(path, {});
  }

  async post<T>(path: string, body: Blob, kind: string): Promise<T> {
    return this.#ask<T>(path, { method: "POST", body, headers: { "Content-Type": kind } });
  }

  socket(path: string): WebSocket {
    const address = new URL(path, document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    // A browser can send no header with a WebSocket: the token goes as a subprotocol.
    return new WebSocket(address, this.token ? [`bearer.${this.token}`] : []);
  }

  async #ask<T>(path: string, options: RequestInit): Promise<T> {
    const headers = new Headers(options.headers);
    if (this.token) headers.set("Authorization", `Bearer ${this.token}`);
    const response = await fetch(path, { ...options, headers, cache: "no-store" });
    if (response.status === 401) throw new TokenNeeded();
    if (!response.ok) throw new Error(await reason(response));
    return (await response.json()) as T;
  }
}

async function reason(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as { detail?: unknown };
    if (typeof problem.detail === "string") return problem.detail;
  } catch {
    // Whatever stands between has words of its own.
  }
  return `the server answered ${response.status} ${response.statusText}`;
}

export type Link =
  | { state: "connecting" }
  | { state: "open" }
  | { state: "waiting"; until: number };

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 15_000;

/** The stream of frames, opened again and again, at growing intervals, when it breaks. */
export class Live {
  #socket: WebSocket | null = null;
  #pause = FIRST_PAUSE;
  #timer = 0;

  readonly #server: Server;
  readonly #frame: (frame: Frame) => void;
  readonly #link: (link: Link) => void;

  constructor(server: Server, frame: (frame: Frame) => void, link: (link: Link) => void) {
    this.#server = server;
    this.#frame = frame;
    this.#link = link;
  }

  open(): void {
    this.close();
    this.#link({ state: "connecting" });
    const socket = this.#server.socket("v1/live");
    this.#socket = socket;
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE;
      this.#link({ state: "open" });
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      const told = JSON.parse(event.data) as Frame | { missed: number };
      if ("fixes" in told) this.#frame(told);
    };
    socket.onclose = () => this.#later();
  }

  close(): void {
    clearTimeout(this.#timer);
    if (this.#socket) {
      this.#socket.onclose = null;
      this.#socket.onmessage = null;
      this.#socket.close();
      this.#socket = null;
    }
  }

  #later(): void {
    this.#socket = null;
    // Viewers that lost one server do not all come back in the same instant.
    const pause = this.#pause * (0.75 + Math.random() / 2);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    this.#link({ state: "waiting", until: Date.now() + pause });
    this.#timer = window.setTimeout(() => this.open(), pause);
  }
}
