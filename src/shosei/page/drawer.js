// The list of conversations where the screen has no room for it beside the rest: it comes and goes.

import { iconButton } from "./dom.js";
import { say } from "./words.js";

const UNFOLDED = "unfolded";

/** `list` is what comes and goes, `veil` what covers the rest meanwhile. */
export class Drawer {
  constructor(list, veil) {
    this.list = list;
    veil.addEventListener("click", () => this.fold());
  }

  get isUnfolded() {
    return document.body.classList.contains(UNFOLDED);
  }

  /** The button that brings the list, in the language of the page. */
  button() {
    const attributes = { id: "menu", "aria-controls": this.list.id, "aria-expanded": String(this.isUnfolded) };
    return (this.menu = iconButton("menu", say("conversations"), () => this.#unfold(), attributes));
  }

  fold() {
    if (!this.isUnfolded) return;
    this.#set(false);
    this.menu.focus();
  }

  #unfold() {
    this.#set(true);
    this.list.querySelector("button").focus();
  }

  #set(unfolded) {
    document.body.classList.toggle(UNFOLDED, unfolded);
    this.menu.setAttribute("aria-expanded", String(unfolded));
  }
}
