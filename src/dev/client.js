// What every page runs while its site is being worked on: it hears from the server what has changed, and shows what went wrong.
(() => {
  "use strict";
  // A page may have it from its application, and from the server before that.
  if (window.__fingerpost) return;
  const own = new URL(document.currentScript.src);
  const base = own.href.replace(/client\.js.*$/, "");
  // Whether another server has made the page.
  const isForeign = own.origin !== location.origin;
  const timing = performance.getEntriesByType("navigation")[0]?.serverTiming ?? [];
  const answered = isForeign ? undefined : timing.find((entry) => entry.name === "build")?.description;
  // The build that the page is of.
  let build = own.searchParams.get("build") ?? answered ?? "0";

  const sameFile = (url, path) => {
    try {
      const other = new URL(url, document.baseURI);
      return other.origin === own.origin && decodeURIComponent(other.pathname) === path;
    } catch {
      return false;
    }
  };
  const fresh = (url) => {
    const other = new URL(url, document.baseURI);
    other.searchParams.set("v", build);
    return isForeign ? other.href : other.pathname + other.search + other.hash;
  };

  // A stylesheet that is on its way is replaced by a later one; the old one applies until the new one does.
  const coming = new WeakMap();
  function swapStylesheet(link) {
    const next = link.cloneNode();
    // Without it, the rules of another origin's sheet could not be looked into later on.
    if (isForeign) next.crossOrigin = "anonymous";
    // It is that of the sheet as it was.
    next.removeAttribute("integrity");
    next.href = fresh(link.href);
    return new Promise((done) => {
      coming.get(link)?.remove();
      coming.set(link, next);
      next.onload = () => {
        coming.delete(link);
        link.remove();
        done();
      };
      next.onerror = () => {
        next.remove();
        done();
      };
      link.after(next);
    });
  }

  function swapInText(text, path, base) {
    return text.replace(/url\(\s*(["']?)(.*?)\1\s*\)/g, (whole, quote, url) => {
      const absolute = URL.canParse(url, base) ? new URL(url, base).href : url;
      return sameFile(absolute, path) ? `url("${fresh(absolute)}")` : whole;
    });
  }

  // In a sheet, URLs are relative to it.
  function swapInRules(rules, path, sheetUrl) {
    for (const rule of rules) {
      if (rule.cssRules) swapInRules(rule.cssRules, path, sheetUrl);
      for (const name of rule.style ?? []) {
        const value = rule.style.getPropertyValue(name);
        const next = swapInText(value, path, sheetUrl);
        if (next !== value) rule.style.setProperty(name, next, rule.style.getPropertyPriority(name));
      }
    }
  }

  const isReadable = (link) => {
    try {
      return Boolean(link.sheet?.cssRules);
    } catch {
      return false;
    }
  };

  async function swapImage(path) {
    if (isForeign) {
      const sheets = [...document.querySelectorAll("link[rel~=stylesheet]")];
      const sealed = sheets.filter((link) => link.href.startsWith(own.origin + "/") && link.sheet && !isReadable(link));
      await Promise.all(sealed.map(swapStylesheet));
    }
    for (const element of document.querySelectorAll("[src], [srcset], [poster], [href], [imagesrcset], [style]")) {
      for (const name of ["src", "poster"]) {
        const value = element.getAttribute(name);
        if (value && element.localName !== "script" && sameFile(value, path)) element.setAttribute(name, fresh(value));
      }
      if (element.localName === "image" || element.relList?.contains("icon")) {
        const value = element.getAttribute("href");
        if (value && sameFile(value, path)) element.setAttribute("href", fresh(value));
      }
      const set = element.getAttribute("srcset");
      if (set) {
        const next = set.replace(/[^\s,]\S*[^\s,]/g, (url) => (sameFile(url, path) ? fresh(url) : url));
        if (next !== set) element.setAttribute("srcset", next);
      }
      const style = element.getAttribute("style");
      if (style) {
        const next = swapInText(style, path, document.baseURI);
        if (next !== style) element.setAttribute("style", next);
      }
    }
    for (const sheet of document.styleSheets) {
      try {
        swapInRules(sheet.cssRules, path, sheet.href ?? document.baseURI);
      } catch {
        // That of another origin can't be read.
      }
    }
  }

  const linksTo = (path) =>
    [...document.querySelectorAll("link[rel~=stylesheet]")].filter((link) => link.isConnected && sameFile(link.href, path));
  const runs = (path) =>
    [...document.scripts].some((script) => script.src && sameFile(script.src, path)) ||
    performance.getEntriesByType("resource").some((entry) => entry.initiatorType === "script" && sameFile(entry.name, path));

  const loaded = (path) => runs(path) || performance.getEntriesByType("resource").some((entry) => sameFile(entry.name, path));

  async function swap({ styles, images, others }) {
    const needs = isForeign ? loaded : runs;
    if (others.some((path) => !path.endsWith(".css") && needs(path))) return location.reload();
    const sheets = [...styles, ...others].flatMap(linksTo);
    await Promise.all(sheets.map(swapStylesheet));
    // One after the other: what the first does to a stylesheet is there for the next.
    for (const path of [...images, ...others]) await swapImage(path);
    dispatchEvent(new CustomEvent("fingerpost:updated", { detail: { build, styles, images } }));
  }

  // What went wrong, above the page, in a tree of its own that no stylesheet of the page's reaches.
  let overlay = null;
  function show(problems, { about, foot }) {
    hide();
    overlay = document.createElement("fingerpost-overlay");
    const root = overlay.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const box = add(root, "div", "box");
    box.setAttribute("role", "alertdialog");
    box.setAttribute("aria-label", "Errors");
    add(box, "p", "count", about);
    for (const problem of problems) box.append(section(problem));
    add(box, "p", "foot", foot);
    overlay.addEventListener("click", (event) => event.composedPath()[0] === overlay && hide());
    (document.body ?? document.documentElement).append(overlay);
  }
  function failed({ errors, is_served }) {
    const count = errors.length === 1 ? "1 error" : `${errors.length} errors`;
    const about = `${count} in the build` + (is_served ? "; the last good one is shown below" : "");
    show(errors, { about, foot: "goes away when it is mended; Esc hides it" });
  }
  function section({ message, hint, file, line, column, frame }) {
    const part = document.createElement("section");
    add(part, "h2", "message", message);
    if (file) {
      const place = add(part, "button", "place", line ? `${file}:${line}:${column}` : file);
      place.title = "open in the editor";
      place.onclick = () => post("open", { file, line: line ?? 1, column: column ?? 1 });
    }
    if (frame?.length) {
      const pre = add(part, "pre", "frame");
      for (const row of frame) {
        const text = add(pre, "div", row.marked ? "row marked" : "row");
        add(text, "span", "number", String(row.number).padStart(5) + "  ");
        text.append(row.text + "\n");
        if (row.marked) add(pre, "div", "row caret", " ".repeat(row.at + 7) + "^".repeat(Math.max(1, row.length)) + "\n");
      }
    }
    if (hint) add(part, "p", "hint", hint);
    return part;
  }
  function add(parent, name, className, text) {
    const element = document.createElement(name);
    element.className = className;
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }
  function hide() {
    overlay?.remove();
    overlay = null;
  }
  addEventListener("keydown", (event) => event.key === "Escape" && hide());

  const post = (what, body) =>
    fetch(base + what, {
      method: "POST",
      headers: { "content-type": "application/json", "x-fingerpost": "1" },
      body: JSON.stringify(body),
    });

  // Errors at run time, told to the server, which knows the sources.
  const told = new Set();
  async function tell(error, fallback) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error ?? fallback.message);
    const stack = (error instanceof Error && error.stack) || "";
    const key = message + stack;
    if (told.has(key) || told.size > 20) return;
    told.add(key);
    try {
      const answer = await post("error", { ...fallback, message, stack });
      if (answer.ok) show([await answer.json()], { about: "uncaught in this page", foot: "Esc closes this" });
    } catch {
      // The server is gone; the console has it.
    }
  }
  addEventListener("error", (event) => {
    if (event instanceof ErrorEvent && event.filename)
      tell(event.error, { message: event.message, url: event.filename, line: event.lineno, column: event.colno });
  });
  addEventListener("unhandledrejection", (event) => tell(event.reason, { message: "unhandled rejection" }));

  // A browser opens six connections to a server at most, so a tab that nobody sees has none; it hears all that it has missed
  // when it is shown again.
  let source = null;
  let again = 0;
  // For tools: the build that the page is of, and whether it hears of the next one.
  Object.defineProperty(window, "__fingerpost", {
    value: { get build() { return build; }, get listens() { return source?.readyState === EventSource.OPEN; } },
  });
  function connect() {
    clearTimeout(again);
    if (source || document.visibilityState === "hidden") return;
    const query = new URLSearchParams(isForeign ? { build } : { page: decodeURIComponent(location.pathname), build });
    source = new EventSource(`${base}events?${query}`);
    source.onmessage = ({ data }) => hear(JSON.parse(data));
    source.onerror = () => {
      // It would connect again by itself, but with the build that it was opened with.
      disconnect();
      again = setTimeout(connect, 300);
    };
  }
  function disconnect() {
    source?.close();
    source = null;
  }
  function hear(event) {
    if (event.build) build = event.build;
    switch (event.type) {
      case "reload":
        return location.reload();
      case "swap":
        hide();
        return swap(event);
      case "errors":
        return failed(event);
      case "fine":
        return hide();
    }
  }
  document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? disconnect() : connect()));
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", connect);
  connect();

  const STYLE = `
    :host { position: fixed; inset: 0; z-index: 2147483647; overflow: auto; background: rgb(0 0 0 / 60%); padding: 4vh 2vw; }
    .box { max-width: 60rem; margin: 0 auto; padding: 1.25rem 1.5rem; background: #1b1b1f; color: #e6e6ea; border-radius: 8px;
      border-top: 6px solid #ff6b6b; font: 14px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
    .count, .foot { margin: 0; color: #a5a5b0; }
    section { margin: 1rem 0; }
    .message { margin: 0 0 .25rem; font-size: 1rem; color: #ff8f8f; white-space: pre-wrap; overflow-wrap: anywhere; }
    .place { all: unset; cursor: pointer; color: #8ab4ff; text-decoration: underline; }
    .place:focus-visible { outline: 2px solid #8ab4ff; }
    .frame { margin: .5rem 0; padding: .5rem 0; overflow: auto; background: #111114; border-radius: 4px; tab-size: 1; }
    .row { white-space: pre; } .marked { color: #fff; } .number { color: #77777f; } .caret { color: #ff6b6b; }
    .hint { margin: .25rem 0 0; color: #9ddf9d; } .hint::before { content: "hint: "; color: #77777f; }
  `;
})();
