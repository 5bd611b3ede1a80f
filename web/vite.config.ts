import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { defineConfig, type Plugin } from "vite";

const HERE = import.meta.dirname;
const OUT = join(HERE, "../src/radiofix/serving/web");
const STAMP = "built.json";
const LEFT_OUT = new Set(["node_modules", "README.md"]);

function files(folder: string, leftOut: Set<string>): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .filter((path) => !leftOut.has(path.split("/")[0] ?? ""))
    .sort();
}

function digests(folder: string, leftOut: Set<string>): Record<string, string> {
  const digest = (path: string) =>
    createHash("sha256").update(readFileSync(join(folder, path))).digest("hex");
  return Object.fromEntries(files(folder, leftOut).map((path) => [path, digest(path)]));
}

/** Writes beside the bundle what it was made of: a test compares, and needs no Node for it. */
function stamp(): Plugin {
  return {
    name: "stamp",
    closeBundle() {
      const made = { sources: digests(HERE, LEFT_OUT), bundle: digests(OUT, new Set([STAMP])) };
      writeFileSync(join(OUT, STAMP), `${JSON.stringify(made, null, 1)}\n`);
    },
  };
}

export default defineConfig({
  // Relative, so that a proxy may put the server under a path of its own.
  base: "./",
  plugins: [stamp()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    // A data: address would need a hole in the page's Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
