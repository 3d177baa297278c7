import { effect } from "./signal.js";

/**
 * Keeps the last values of a signal.
 * @template T
 * @param {{ readonly value: T }} source
 * @param {number} [length]
 */
export function history(source, length = 10) {
  /** @type {T[]} */
  const values = [];
  effect(() => {
    values.push(source.value);
    if (values.length > length) values.shift();
  });
  return values;
}
