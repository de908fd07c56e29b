// Ratings on their way: each stays in the browser until the server has said that its disk has it.

import { Problem } from "./problem.js";

const LATER_S = [1, 2, 4, 8, 15, 30, 60];

/** An entry: `{id, path, body, place, at, tries}`; a later one of the same id takes the place of the first. */
export class Outbox extends EventTarget {
  #api;
  #table;
  #states = new Map();
  #timer = 0;
  #sending = false;

  /** Fires `change` with `{id, place}` of an entry whose state is another one now. */
  constructor(api, table) {
    super();
    this.#api = api;
    this.#table = table;
    addEventListener("online", () => this.flush());
  }

  /** `{state}` of an entry of this visit: sending, waiting (with `until` and `problem`), saved or refused; or undefined. */
  state(id) {
    return this.#states.get(id);
  }

  /** Keep `body` for `path`, and send it as soon as that can be. `place` is for whoever hears of it later. */
  async add(id, path, body, place = null) {
    const entry = { id, path, body, place, at: Date.now(), tries: 0 };
    this.#say(entry, { state: "sending" });
    await this.#table.update(id, () => entry);
    await this.flush();
  }

  /** Send all that is kept, the oldest first, one at a time: the first one brings the cookie that the others show. */
  async flush() {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    try {
      for (let entries = await this.#entries(); entries.length; entries = await this.#entries()) {
        const wait_s = await this.#send(entries[0]);
        if (!wait_s) continue;
        this.#timer = setTimeout(() => this.flush(), wait_s * 1000);
        break;
      }
    } finally {
      this.#sending = false;
    }
  }

  async #entries() {
    return (await this.#table.all()).sort((a, b) => a.at - b.at);
  }

  /** Seconds to wait before the next try; 0 where this entry is done with. */
  async #send(entry) {
    this.#say(entry, { state: "sending" });
    try {
      await this.#api.post(entry.path, entry.body);
      await this.#done(entry, { state: "saved" });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (!isPassing(error)) return this.#done(entry, { state: "refused", problem: error });
      const wait_s = error.retryAfter ?? LATER_S[Math.min(entry.tries, LATER_S.length - 1)];
      await this.#table.update(entry.id, (row) => row && { ...row, tries: row.tries + 1 });
      this.#say(entry, { state: "waiting", until: Date.now() + wait_s * 1000, problem: error });
      return wait_s;
    }
    return 0;
  }

  /** Forget an entry, unless a newer one took its place while it was under way. */
  async #done(entry, state) {
    let replaced = false;
    await this.#table.update(entry.id, (row) => {
      replaced = row !== undefined && row.at !== entry.at;
      return replaced ? row : null;
    });
    if (!replaced) this.#say(entry, state);
    return 0;
  }

  #say({ id, place }, state) {
    this.#states.set(id, state);
    this.dispatchEvent(new CustomEvent("change", { detail: { id, place } }));
  }
}

/** Whether it may go well another time. */
function isPassing(problem) {
  return ["gone", "busy", "late", "upstream", "key"].includes(problem.kind) || problem.status >= 500;
}
