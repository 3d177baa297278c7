export function tick(element: HTMLElement): void {
  const show = (): void => {
    element.textContent = new Date().toLocaleTimeString();
  };
  show();
  setInterval(show, 1000);
}
