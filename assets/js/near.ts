/** Calls `load` once, when the element that `selector` finds is about to be seen. */
export function whenNear(selector: string, load: (element: HTMLElement) => Promise<void>): void {
  const element = document.querySelector<HTMLElement>(selector);
  if (!element) return;
  const start = () => {
    // A chunk that can't be loaded leaves the text that is in the page already.
    load(element).catch(() => element.setAttribute("data-state", "unavailable"));
  };
  if (!("IntersectionObserver" in window)) return start();
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      start();
    },
    { rootMargin: "600px 0px" },
  );
  observer.observe(element);
}
