import type { Environment } from "./environment.ts";

/** Marks the arm of the environment that sent this page. */
export function markArm({ name }: Environment): void {
  if (!name) return;
  for (const arm of document.querySelectorAll<HTMLElement>("[data-arm]")) {
    if (arm.dataset.arm !== name) continue;
    arm.dataset.here = "";
    const note = document.createElement("span");
    note.className = "arm-here";
    note.textContent = "You are here";
    arm.append(note);
  }
}
