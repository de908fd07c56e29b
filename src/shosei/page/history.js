// The list of conversations: search, open, delete.

import { Conversation } from "./conversation.js";
import { element, icon, iconButton, textButton } from "./dom.js";
import { languageOf } from "./language.js";
import { language, say } from "./words.js";

const DAY_MS = 86_400_000;
const UNDO_MS = 10_000;

export class History {
  #words = "";
  #timer = 0;

  /** `open` gets an id, `removed` that of one that was deleted; `begin` starts a new conversation. */
  constructor(root, store, { open, begin, removed }) {
    Object.assign(this, { root, store, open, begin, removed, current: "" });
    store.addEventListener("change", () => this.refresh());
  }

  /** Build the list's frame in the language of the page. */
  draw() {
    this.list = element("nav", { class: "conversations", "aria-label": say("conversations") });
    this.undo = element("p", { class: "undo", role: "status" });
    const search = element("input", {
      type: "search",
      placeholder: say("search"),
      "aria-label": say("search"),
      value: this.#words,
      oninput: () => {
        this.#words = search.value.trim();
        this.refresh();
      },
    });
    this.root.replaceChildren(element("button", { type: "button", class: "new", onclick: this.begin }, icon("write"), say("new_conversation")), search, this.list, this.undo);
    return this.refresh();
  }

  /** Show what the browser keeps, with `current` marked. */
  async refresh(current = this.current) {
    this.current = current;
    const records = (await this.store.records()).filter((record) => !this.#words || new Conversation(record).has(this.#words));
    const parts = [...grouped(records)].flatMap(([name, rows]) => [element("h3", {}, say(name)), element("ul", {}, ...rows.map((row) => this.#row(row)))]);
    this.list.replaceChildren(...(parts.length ? parts : [element("p", { class: "fine" }, say(this.#words ? "nothing_found" : "no_conversations"))]));
  }

  #row(record) {
    const title = record.title || say("untitled");
    const isCurrent = record.id === this.current;
    return element(
      "li",
      { class: isCurrent ? "current" : null },
      textButton(title, () => this.open(record.id), { class: "title", lang: languageOf(title, "", language), "aria-current": isCurrent ? "true" : null }),
      iconButton("remove", say("delete_one", { title }), () => this.#remove(record)),
    );
  }

  async #remove(record) {
    this.removed(record.id);
    await this.store.remove(record.id);
    if (record.id === this.current) this.begin();
    clearTimeout(this.#timer);
    const restore = async () => {
      await this.store.keep(record, true);
      this.undo.replaceChildren();
      this.refresh();
    };
    this.undo.replaceChildren(say("deleted"), " ", textButton(say("undo"), restore, { class: "small" }));
    this.#timer = setTimeout(() => this.undo.replaceChildren(), UNDO_MS);
    await this.refresh();
    this.undo.querySelector("button").focus();
  }
}

function age(record) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (record.changed >= midnight) return "today";
  return record.changed >= midnight - 7 * DAY_MS ? "this_week" : "earlier";
}

function grouped(records) {
  const groups = new Map();
  for (const record of records) groups.set(age(record), [...(groups.get(age(record)) ?? []), record]);
  return groups;
}
