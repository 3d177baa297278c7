import { start } from "./count.js";

const button = document.querySelector("#counter");
let count = start;
button?.addEventListener("click", async () => {
  count += 1;
  const { say } = await import("./lazy.js");
  button.textContent = say(count);
});
document.documentElement.dataset.counter = "ready";
