// The messages of a conversation on the page, in order, each answer's versions one at a time or side by side.

import { element } from "./dom.js";
import { MessageView } from "./message.js";

const NEAR_PX = 80;

export class Transcript {
  #views = new Map();
  #beside = new Set(); // questions whose answers stand side by side
  #drawing = new Set(); // messages that change with the next frame

  /** `scroller` is what scrolls `root`; `rating` is what a RatingView needs, or null; `isRunning` tells of a message. */
  constructor(root, scroller, actions, rating, isRunning) {
    Object.assign(this, { root, scroller, rating, isRunning });
    this.actions = { ...actions, beside: (node) => this.#setBeside(node), choose: (node) => actions.choose(node) };
  }

  /** Show `conversation`; another one, or another language, from the beginning. */
  show(conversation, anew = false) {
    if (anew || conversation !== this.conversation) {
      this.#views.clear();
      this.root.replaceChildren();
    }
    this.conversation = conversation;
    const stays = this.isAtEnd;
    this.#lay(conversation.path.map((node) => this.#shown(node)));
    if (stays || anew) this.toEnd();
  }

  /** Show what changed of one message, with the next frame. */
  refresh(node) {
    if (this.#drawing.has(node.id)) return;
    this.#drawing.add(node.id);
    requestAnimationFrame(() => {
      this.#drawing.delete(node.id);
      if (!this.#views.has(node.id) || this.conversation.node(node.id) !== node) return;
      const stays = this.isAtEnd;
      this.#update(node);
      if (stays) this.toEnd();
    });
  }

  /** What is said to a screen reader once an answer has ended. */
  view(node) {
    return this.#views.get(node.id);
  }

  get isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** The element of a message, or that of all its versions. */
  #shown(node) {
    const versions = this.conversation.versions(node);
    if (!this.#isBeside(node, versions)) return this.#update(node).root;
    const frame = element("div", { class: "versions" });
    frame.append(...versions.map((version) => this.#update(version).root));
    return frame;
  }

  #update(node) {
    const versions = this.conversation.versions(node);
    const view = this.#views.get(node.id) ?? new MessageView(node, this.actions, this.rating);
    view.node = node;
    if (view.rating) view.rating.node = node;
    this.#views.set(node.id, view);
    const beside = this.#isBeside(node, versions) && (this.conversation.path.includes(node) ? "chosen" : "other");
    view.update({ versions, before: this.#languageAbove(node), running: this.isRunning(node), beside });
    return view;
  }

  #languageAbove(node) {
    return this.conversation
      .above(node)
      .map((each) => this.#views.get(each.id)?.language ?? "")
      .findLast(Boolean) ?? "";
  }

  #isBeside(node, versions) {
    return node.role === "assistant" && versions.length > 1 && this.#beside.has(node.parent);
  }

  #setBeside(node) {
    if (!this.#beside.delete(node.parent)) this.#beside.add(node.parent);
    this.show(this.conversation);
    const { root } = this.#views.get(node.id);
    root.scrollIntoView({ block: "nearest", inline: "center" });
    root.querySelector('[data-does="beside"]')?.focus({ preventScroll: true });
  }

  /** Have exactly these elements, and move none that stands where it should: a moved one would lose the focus. */
  #lay(elements) {
    const wanted = new Set(elements);
    for (const child of [...this.root.children]) if (!wanted.has(child)) child.remove();
    elements.forEach((each, place) => {
      if (this.root.children[place] !== each) this.root.insertBefore(each, this.root.children[place] ?? null);
    });
  }
}
