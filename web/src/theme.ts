import { the } from "./page.ts";

const KEPT = "radiofix-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Light and dark: as the system has it, until the button says otherwise. */
export function theme(changed: () => void): void {
  const root = document.documentElement;
  const button = the("theme");
  const isDark = () => (root.dataset["theme"] ?? (dark.matches ? "dark" : "light")) === "dark";
  const tell = () => {
    button.setAttribute("aria-pressed", `${isDark()}`);
    changed();
  };
  const kept = recall();
  if (kept) root.dataset["theme"] = kept;
  button.addEventListener("click", () => {
    root.dataset["theme"] = isDark() ? "light" : "dark";
    keep(root.dataset["theme"]);
    tell();
  });
  dark.addEventListener("change", tell);
  tell();
}

function recall(): string | null {
  try {
    const kept = localStorage.getItem(KEPT);
    return kept === "dark" || kept === "light" ? kept : null;
  } catch {
    return null;
  }
}

function keep(name: string): void {
  try {
    localStorage.setItem(KEPT, name);
  } catch {
    // Where nothing may be kept, the choice lasts as long as the page.
  }
}
