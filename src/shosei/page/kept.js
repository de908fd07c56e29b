// The browser's small stores. What one refuses, because the user does or because it is full, lasts as long as the page.

function storage(name) {
  const refused = new Map();
  const store = reachable(name);
  return {
    getItem: (key) => refused.get(key) ?? store?.getItem(key) ?? null,
    setItem(key, value) {
      try {
        store.setItem(key, value);
        refused.delete(key);
      } catch {
        refused.set(key, String(value));
      }
    },
    removeItem(key) {
      refused.delete(key);
      store?.removeItem(key);
    },
  };
}

function reachable(name) {
  try {
    const store = window[name]; // throws where the user blocks what sites keep
    store.getItem("");
    return store;
  } catch {
    return null;
  }
}

/** For this browser. */
export const local = storage("localStorage");

/** For this tab. */
export const session = storage("sessionStorage");
