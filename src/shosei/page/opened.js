// The conversations that this tab has read: one copy of each, whatever other tabs do to them.

import { Conversation } from "./conversation.js";

const LEFT_MS = 5000; // an answer that no tab has added to for so long was left by the tab that asked for it
const RUNNING = ["waiting", "streaming"];

export class OpenedConversations {
  #opened = new Map();

  /** `lookAgain` is called with a conversation's id once an answer of it may have been left. */
  constructor(store, chat, lookAgain) {
    Object.assign(this, { store, chat, lookAgain });
  }

  has(id) {
    return this.#opened.has(id);
  }

  add(conversation) {
    this.#opened.set(conversation.id, conversation);
  }

  /** As the browser keeps it, together with what this tab has of it; undefined where there is none. */
  async read(id) {
    const record = await this.store.conversations.get(id);
    if (!record) return undefined;
    const conversation = this.#opened.get(id) ?? new Conversation(record);
    conversation.takeIn(record);
    this.#settle(conversation);
    this.add(conversation);
    return conversation;
  }

  /** This tab's copy, or else the browser's. */
  async find(id) {
    return this.#opened.get(id) ?? this.read(id);
  }

  /** Ask no more for a conversation that was deleted. */
  forget(id) {
    this.#opened.get(id)?.path.forEach((node) => this.chat.stop(node));
    this.#opened.delete(id);
  }

  /** Say of answers that nobody is at any more that they broke off. */
  #settle(conversation) {
    for (const node of Object.values(conversation.record.nodes)) {
      if (!RUNNING.includes(node.state) || this.chat.isRunning(node)) continue;
      if (Date.now() - node.changed < LEFT_MS) setTimeout(() => this.lookAgain(conversation.id), LEFT_MS);
      else Object.assign(node, { state: node.content ? "broken" : "failed", problem: { kind: "left" }, wait: null });
    }
  }
}
