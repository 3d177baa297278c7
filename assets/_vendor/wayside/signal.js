// wayside: a signal is a value that knows who reads it.

/** @type {null | (() => void)} the effect or computed value that is running now */
let reader = null;
/** @type {null | Set<() => void>} what to run when the outermost batch ends */
let pending = null;

/**
 * A value that tells its readers when it changes.
 * @template T
 * @param {T} value
 */
export function signal(value) {
  /** @type {Set<() => void>} */
  const readers = new Set();
  return {
    get value() {
      if (reader) readers.add(reader);
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const run of [...readers]) {
        if (pending) pending.add(run);
        else run();
      }
    },
    /** Reads without becoming a reader. */
    peek: () => value,
  };
}

/**
 * Runs `run` now, and again when a signal that it read has changed.
 * @param {() => void} run
 */
export function effect(run) {
  const track = () => {
    const outer = reader;
    reader = track;
    try {
      run();
    } finally {
      reader = outer;
    }
  };
  track();
}

/**
 * A signal that follows from others.
 * @template T
 * @param {() => T} derive
 */
export function computed(derive) {
  const result = signal(/** @type {T} */ (undefined));
  effect(() => {
    result.value = derive();
  });
  return {
    get value() {
      return result.value;
    },
  };
}

/**
 * Several changes, one announcement.
 * @param {() => void} change
 */
export function batch(change) {
  if (pending) return change();
  pending = new Set();
  try {
    change();
  } finally {
    const runs = pending;
    pending = null;
    for (const run of runs) run();
  }
}
