// The browser's small stores, also where it refuses them: then what is set lasts as long as the page.

function storage(name) {
  try {
    const store = window[name]; // throws where the user blocks what sites keep
    store.getItem("");
    return store;
  } catch {
    const rows = new Map();
    return {
      getItem: (key) => rows.get(key) ?? null,
      setItem: (key, value) => rows.set(key, String(value)),
      removeItem: (key) => rows.delete(key),
    };
  }
}

/** For this browser. */
export const local = storage("localStorage");

/** For this tab. */
export const session = storage("sessionStorage");
