export { signal, computed, effect, batch } from "./signal.js";
// Nothing on the site imports this one: it is here so that a build can show that it leaves unused code out.
export { history } from "./history.js";
