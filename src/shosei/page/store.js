// What the browser keeps: conversations, and ratings that are still to be sent. Several tabs share it.

import { merged } from "./conversation.js";

const TABLES = ["conversations", "outbox"];

/**
 * Rows by `id`: a table of IndexedDB, or of nothing where `database` is null. What the disk refuses, being full or gone,
 * stays in memory until it takes that row again.
 */
class Table extends EventTarget {
  #refused = new Map(); // by id, a row, or null for one that was to be removed
  #works;

  /** Fires `change` when `isLasting` may be another. */
  constructor(database, name) {
    super();
    Object.assign(this, { database, name });
    this.#works = database !== null;
  }

  /** Whether all that is here will still be here on the next visit. */
  get isLasting() {
    return this.#works && !this.#refused.size;
  }

  async all() {
    const rows = new Map((await this.#read((table) => table.getAll(), [])).map((row) => [row.id, row]));
    for (const [id, row] of this.#refused) rows.set(id, structuredClone(row));
    return [...rows.values()].filter(Boolean);
  }

  async get(id) {
    const row = await this.#read((table) => table.get(id));
    return this.#latest(id, row);
  }

  /** Replace the row of `id` by what `change` makes of it, or remove it where that is null; in one transaction. */
  async update(id, change) {
    const replaced = (row) => change(this.#latest(id, row)) ?? null;
    try {
      await this.#within("readwrite", (table) => write(table, id, replaced));
      this.#refused.delete(id);
      this.#works = true;
    } catch {
      const row = await this.#read((table) => table.get(id));
      this.#refused.set(id, structuredClone(replaced(row)));
    }
    this.dispatchEvent(new Event("change"));
  }

  #latest(id, row) {
    return this.#refused.has(id) ? (structuredClone(this.#refused.get(id)) ?? undefined) : row;
  }

  /** What `ask` gets, or `otherwise` from a disk that tells nothing. */
  async #read(ask, otherwise) {
    try {
      return await this.#within("readonly", ask);
    } catch {
      this.#works = false;
      return otherwise;
    }
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

function write(table, id, replaced) {
  const asked = table.get(id);
  asked.onsuccess = () => {
    try {
      const row = replaced(asked.result);
      if (row) table.put(row);
      else table.delete(id);
    } catch {
      table.transaction.abort();
    }
  };
  return asked;
}

export class Store extends EventTarget {
  /** One for each address, since several servers may stand behind one origin. */
  static async open(name = `shosei:${new URL(".", document.baseURI).pathname}`) {
    const database = await opened(name).catch(() => null);
    return new Store(name, ...TABLES.map((table) => new Table(database, table)));
  }

  /**
   * Fires `change` when another tab has changed something, with the conversation's id, or "", as `detail`; and `lasting`
   * when that may be another.
   */
  constructor(name, conversations, outbox) {
    super();
    Object.assign(this, { conversations, outbox });
    for (const table of [conversations, outbox]) table.addEventListener("change", () => this.dispatchEvent(new Event("lasting")));
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("change", { detail: data }));
  }

  /** Whether the browser keeps all of it. */
  get lasting() {
    return this.conversations.isLasting && this.outbox.isLasting;
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
