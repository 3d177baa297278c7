// The live panel: what this browser received, from where, and how it was encoded.

import { computed, effect, signal } from "../_vendor/wayside/index.js";
import type { Environment } from "./environment.ts";
import { bytes, fileName, originName } from "./format.ts";
import { askEncoding, encodingName, loaded, type Kind, type Resource } from "./resources.ts";

const ORDER: readonly Kind[] = ["Page", "CSS", "JavaScript", "Fonts", "Images"];
const HIDDEN = "not disclosed";

function element(tag: string, text = "", className = ""): HTMLElement {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** The sum of what is known; null when nothing is. */
function sum(values: readonly (number | null)[]): number | null {
  return values.every((value) => value === null) ? null : values.reduce<number>((total, value) => total + (value ?? 0), 0);
}

function sizes({ transferred, decoded, source }: Pick<Resource, "transferred" | "decoded" | "source">): [string, string] {
  const after = decoded === null ? HIDDEN : bytes(decoded);
  if (transferred === null) return [HIDDEN, after];
  if (source === "cache") return ["from cache", after];
  return [source === "revalidated" ? `${bytes(transferred)}, unchanged` : bytes(transferred), after];
}

function row(resource: Resource, answered: ReadonlyMap<string, string>): HTMLElement {
  const known = answered.get(resource.url) || resource.encoding;
  const line = element("tr");
  const name = element("th");
  name.setAttribute("scope", "row");
  name.append(element("code", fileName(resource.url)));
  const [transferred, decoded] = sizes(resource);
  const cells: [string, string][] = [
    ["Origin", originName(resource.url)],
    ["Encoding", known ? encodingName(known) : HIDDEN],
    ["Transferred", transferred],
    ["Decoded", decoded],
  ];
  line.append(name);
  for (const [label, text] of cells) {
    const cell = element("td", text, label === "Encoding" ? "panel-encoding" : "");
    cell.dataset.label = label;
    if (known && label === "Encoding") cell.dataset.encoding = known;
    line.append(cell);
  }
  return line;
}

function table(resources: readonly Resource[], answered: ReadonlyMap<string, string>): HTMLElement {
  const made = element("table", "", "panel-table");
  made.append(element("caption", "Files that this page loaded", "visually-hidden"));
  const head = element("thead");
  const titles = element("tr");
  for (const title of ["File", "Origin", "Encoding", "Transferred", "Decoded"]) {
    const cell = element("th", title);
    cell.setAttribute("scope", "col");
    titles.append(cell);
  }
  head.append(titles);
  made.append(head);
  for (const kind of ORDER) {
    const group = resources.filter((resource) => resource.kind === kind);
    if (!group.length) continue;
    const body = element("tbody");
    const title = element("tr", "", "panel-kind");
    const cell = element("th", kind);
    cell.setAttribute("scope", "rowgroup");
    cell.setAttribute("colspan", "5");
    title.append(cell);
    body.append(title, ...group.map((resource) => row(resource, answered)));
    made.append(body);
  }
  return made;
}

function facts(pairs: readonly (readonly [string, string])[]): HTMLElement {
  const list = element("dl", "", "panel-facts");
  for (const [term, value] of pairs) {
    const group = element("div");
    group.append(element("dt", term), element("dd", value));
    list.append(group);
  }
  return list;
}

export function mountPanel(section: HTMLElement, environment: Environment): void {
  const place = section.querySelector<HTMLElement>("[data-panel]");
  if (!place) return;

  const resources = signal<readonly Resource[]>(loaded());
  const answered = signal<ReadonlyMap<string, string>>(new Map());
  const total = computed(() => {
    const transferred = sum(resources.value.map((resource) => resource.transferred));
    const decoded = sum(resources.value.map((resource) => resource.decoded));
    if (transferred === null || decoded === null) return HIDDEN;
    const partial = resources.value.some((resource) => resource.decoded === null) ? ", as far as disclosed" : "";
    return `${bytes(transferred)} transferred, ${bytes(decoded)} decoded${partial}`;
  });

  effect(() => {
    place.replaceChildren(
      facts([
        ["Environment", environment.name || "not bound"],
        ["Release", environment.release || "none"],
        ["Build mode", `${environment.mode}${environment.minified ? ", minified" : ""}`],
        ["In all", total.value],
      ]),
      table(resources.value, answered.value),
    );
    section.dataset.state = "ready";
  });

  // Where timing tells only that a file was compressed, the server is asked how: once a URL.
  const asked = new Set<string>();
  effect(() => {
    for (const { url, encoding } of resources.value) {
      if (encoding !== "compressed" || asked.has(url)) continue;
      asked.add(url);
      void askEncoding(url).then((answer) => {
        if (answer && answer !== "identity") answered.value = new Map(answered.peek()).set(url, answer);
      });
    }
  });

  if (!("PerformanceObserver" in window)) return;
  let waiting = false;
  const observer = new PerformanceObserver(() => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      const now = loaded();
      if (now.length !== resources.peek().length) resources.value = now;
    }, 200);
  });
  observer.observe({ type: "resource" });
}
