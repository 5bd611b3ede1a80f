const NAMES = [
  "paper",
  "street",
  "grid",
  "ink",
  "soft",
  "roof",
  "wall",
  "edge",
  "fix",
  "chosen",
  "doubt",
  "station",
  "truth",
  "file",
] as const;

export type Palette = Record<(typeof NAMES)[number], string>;

/** The colours of the style sheet, as they are at the moment. */
export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    NAMES.map((name) => [name, long(style.getPropertyValue(`--${name}`).trim())]),
  ) as Palette;
}

/** A colour of the palette, of which so much is seen. */
export function faded(colour: string, share: number): string {
  return colour + Math.round(255 * share).toString(16).padStart(2, "0");
}

/** #abc as #aabbcc: a minifier may have shortened it. */
function long(colour: string): string {
  return colour.length === 4 ? colour.replace(/[0-9a-f]/gi, "$&$&") : colour;
}
