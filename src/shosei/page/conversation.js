// A conversation as a tree: an edited question and an answer asked for again stand beside the first.

import { plainWords } from "./markdown.js";

/** An id that no other tab makes. (`crypto.randomUUID` needs a secure origin; a phone on the local network has none.) */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const TITLE_CHARACTERS = 60;
const READ_FOR_TITLE = 2000; // characters

/**
 * Wraps a plain record, as it is stored: `{id, title, created, changed, settings, chosen, nodes}`. `nodes` are messages
 * by id, each with the id of its `parent` ("" for a first one); `chosen` is, by parent, the child that is shown.
 *
 * A message: `{id, parent, role, content, thoughts, calls, state, problem, answer, model, figures, rating, created,
 * changed}`. `state` of an answer: `waiting`, `streaming`, `done`, `stopped`, `cut` (by the limit of tokens), `broken`
 * or `failed`.
 */
export class Conversation {
  #shown = {}; // by parent, the child that this tab shows, whatever another tab chose since

  constructor(record) {
    this.record = record;
  }

  static begin(settings) {
    const now = Date.now();
    return new Conversation({ id: newId(), title: "", created: now, changed: now, settings: { ...settings }, chosen: {}, nodes: {} });
  }

  get id() {
    return this.record.id;
  }

  get settings() {
    return this.record.settings;
  }

  get isEmpty() {
    return Object.keys(this.record.nodes).length === 0;
  }

  node(id) {
    return this.record.nodes[id];
  }

  /** The messages that are shown, in order. */
  get path() {
    const path = [];
    for (let node = this.#chosenChild(""); node; node = this.#chosenChild(node.id)) path.push(node);
    return path;
  }

  /** The versions of a message, itself among them, in the order in which they came. */
  versions(node) {
    return this.#children(node.parent);
  }

  /** The messages above `node`, the first one first. */
  above(node) {
    const above = [];
    for (let each = this.node(node.parent); each; each = this.node(each.parent)) above.unshift(each);
    return above;
  }

  /** A new message below `parent`, which is shown from now on. */
  add(parent, role, fields = {}) {
    const now = Date.now();
    const node = { id: newId(), parent, role, content: "", thoughts: "", calls: [], state: "done", created: now, changed: now, ...fields };
    this.record.nodes[node.id] = node;
    this.#show(node);
    if (!this.record.title && role === "user") this.record.title = titleOf(node.content);
    this.touch(node);
    return node;
  }

  /** Show this version. */
  choose(node) {
    this.#show(node);
    this.record.changed = Date.now();
  }

  /** Take in what other tabs did, as it is `stored`. The versions that this tab shows stay; what they added below is shown. */
  takeIn(stored) {
    this.#shown = { ...this.record.chosen, ...this.#shown };
    this.record = merged(stored, this.record);
  }

  /** Say that a message has changed; of two copies the later one is kept. */
  touch(node) {
    node.changed = this.record.changed = Math.max(Date.now(), node.changed + 1);
  }

  /** Whether a message of it has the words, in any version. */
  has(words) {
    const wanted = words.normalize("NFKC").toLowerCase();
    return [this.record.title, ...Object.values(this.record.nodes).map((node) => node.content)].some((text) =>
      text.normalize("NFKC").toLowerCase().includes(wanted),
    );
  }

  #show(node) {
    this.#shown[node.parent] = this.record.chosen[node.parent] = node.id;
  }

  #children(parent) {
    return Object.values(this.record.nodes)
      .filter((node) => node.parent === parent)
      .sort((a, b) => a.created - b.created);
  }

  #chosenChild(parent) {
    return this.node(this.#shown[parent] ?? this.record.chosen[parent]) ?? this.#children(parent).at(-1);
  }
}

/** What two tabs have of one conversation: all messages of both, of each the later copy. */
export function merged(stored, record) {
  if (!stored) return record;
  const nodes = { ...stored.nodes };
  for (const [id, node] of Object.entries(record.nodes)) if (!nodes[id] || nodes[id].changed <= node.changed) nodes[id] = node;
  const [older, newer] = stored.changed > record.changed ? [record, stored] : [stored, record];
  return { ...newer, nodes, chosen: { ...older.chosen, ...newer.chosen } };
}

function titleOf(question) {
  const beginning = question.slice(0, READ_FOR_TITLE);
  const characters = [...(plainWords(beginning) || beginning).trim().replace(/\s+/g, " ")];
  return characters.length > TITLE_CHARACTERS ? `${characters.slice(0, TITLE_CHARACTERS - 1).join("").trimEnd()}…` : characters.join("");
}
