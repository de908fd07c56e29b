// What the browser keeps: conversations, and ratings that are still to be sent. Several tabs share it.

import { merged } from "./conversation.js";

const TABLES = ["conversations", "outbox"];

/** A table of IndexedDB, by `id`. */
class Table {
  constructor(database, name) {
    Object.assign(this, { database, name });
  }

  all() {
    return this.#within("readonly", (table) => table.getAll());
  }

  get(id) {
    return this.#within("readonly", (table) => table.get(id));
  }

  /** Replace the row of `id` by what `change` makes of it, or remove it where that is null; in one transaction. */
  update(id, change) {
    return this.#within("readwrite", (table) => {
      const asked = table.get(id);
      asked.onsuccess = () => {
        const row = change(asked.result);
        if (row) table.put(row);
        else table.delete(id);
      };
      return asked;
    });
  }

  /** What `ask` gets, once the disk has whatever it changes. */
  #within(mode, ask) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(this.name, mode, { durability: "strict" });
      const asked = ask(transaction.objectStore(this.name));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }
}

/** The same in memory, where the browser keeps nothing. */
class MemoryTable {
  #rows = new Map();

  async all() {
    return structuredClone([...this.#rows.values()]);
  }

  async get(id) {
    return structuredClone(this.#rows.get(id));
  }

  async update(id, change) {
    const row = change(structuredClone(this.#rows.get(id)));
    if (row) this.#rows.set(id, structuredClone(row));
    else this.#rows.delete(id);
  }
}

export class Store extends EventTarget {
  /** One for each address, since several servers may stand behind one origin. Without IndexedDB nothing is `lasting`. */
  static async open(name = `shosei:${new URL(".", document.baseURI).pathname}`) {
    try {
      const database = await opened(name);
      return new Store(name, true, ...TABLES.map((table) => new Table(database, table)));
    } catch {
      return new Store(name, false, ...TABLES.map(() => new MemoryTable()));
    }
  }

  /** Fires `change` when another tab has changed something; its `detail` is the conversation's id, or "". */
  constructor(name, lasting, conversations, outbox) {
    super();
    Object.assign(this, { lasting, conversations, outbox });
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("change", { detail: data }));
  }

  /** All conversations, the latest first. */
  async records() {
    return (await this.conversations.all()).sort((a, b) => b.changed - a.changed);
  }

  /** Keep a conversation. `isNew`: one that is not there any more was deleted in another tab, and stays so. */
  async keep(record, isNew = false) {
    await this.conversations.update(record.id, (stored) => (stored || isNew ? merged(stored, record) : null));
    this.channel.postMessage(record.id);
  }

  async remove(id) {
    await this.conversations.update(id, () => null);
    this.channel.postMessage(id);
  }
}

function opened(name) {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(name, 1);
    asked.onupgradeneeded = () => TABLES.forEach((table) => asked.result.createObjectStore(table, { keyPath: "id" }));
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = asked.onblocked = () => reject(asked.error);
  });
}
