/** An element of the page, which index.html is known to have. */
export function the<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** A new element with text. */
export function made<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  kind = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text) element.textContent = text;
  return element;
}

/** A new element of a drawing. */
export function shape(tag: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, `${value}`);
  return element;
}

/** Sets text where it differs: what is read aloud is not read again. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function metres(length: number): string {
  if (!Number.isFinite(length)) return "–";
  if (length >= 1_000) return `${(length / 1_000).toFixed(1)} km`;
  return `${length.toFixed(length >= 100 ? 0 : length >= 10 ? 1 : 2)} m`;
}

export function milliseconds(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds >= 10) return `${seconds.toFixed(0)} s`;
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  const value = seconds * 1_000;
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}
