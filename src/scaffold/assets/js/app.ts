const clock = document.querySelector<HTMLElement>("[data-clock]");

// Loaded only by the pages that have a clock.
if (clock) {
  const { tick } = await import("./clock.ts");
  tick(clock);
}

for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
  if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
}
