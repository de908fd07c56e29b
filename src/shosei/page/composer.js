// Where the reader writes. Enter sends, but never while an input method composes; nothing typed is lost.

import { element, iconButton } from "./dom.js";
import { local } from "./kept.js";
import { say } from "./words.js";

const ENTER = "shosei.enter";
const MOST_PX = 240;

/** Whether one types on the screen. Its Enter begins a line, and its keyboard covers half of what there is to read. */
export const touch = matchMedia("(hover: none) and (pointer: coarse)").matches;

/** Whether Enter sends, or begins a line as Shift+Enter does. */
export function enterSends() {
  return local.getItem(ENTER) !== "line" && !touch;
}

export function setEnter(sends) {
  local.setItem(ENTER, sends ? "send" : "line");
}

export class Composer {
  #composing = false;
  #isOwn = false; // whether what stands in the field was typed in this tab

  /** `send` gets the text and resolves once the browser keeps it; `stop` ends the answer under way. */
  constructor(root, send, stop) {
    Object.assign(this, { root, send, stop, place: "", running: false });
    root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    addEventListener("storage", ({ key }) => key === this.#draft && !this.#isOwn && this.#showDraft());
  }

  /** Build the form in the language of the page. */
  draw() {
    this.field = element("textarea", {
      id: "question",
      rows: "1",
      "aria-label": say("question"),
      placeholder: say("question"),
      enterkeyhint: enterSends() ? "send" : "enter",
      oninput: () => {
        this.#isOwn = this.field.value !== "";
        this.#typed();
      },
      onkeydown: (event) => this.#key(event),
      oncompositionstart: () => (this.#composing = true),
      // Safari tells of the end first and of its Enter afterwards, in the same turn of the loop.
      oncompositionend: () => setTimeout(() => (this.#composing = false)),
    });
    this.button = iconButton("send", say("send"), null, { class: "send", type: "submit" });
    this.halt = iconButton("stop", say("stop"), this.stop, { class: "send stop" });
    this.root.replaceChildren(this.field, this.button, this.halt);
    this.#showDraft();
    this.setRunning(this.running);
  }

  /** Write for the conversation `place`, "" for a new one. */
  open(place) {
    this.place = place;
    this.#isOwn = false;
    this.#showDraft();
  }

  setRunning(running) {
    const hadFocus = [this.button, this.halt].includes(document.activeElement);
    this.running = running;
    this.button.hidden = running;
    this.halt.hidden = !running;
    if (hadFocus) this.focus();
  }

  /** Be ready for typing, but call up no keyboard that nobody asked for. */
  focus() {
    if (!touch) this.field.focus();
  }

  #key(event) {
    // 229 is what browsers call a key that goes to the input method.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229 || this.#composing) return;
    const sends = enterSends() ? !event.shiftKey : event.ctrlKey || event.metaKey;
    if (!sends) return;
    event.preventDefault();
    this.#send();
  }

  async #send() {
    const text = this.field.value;
    if (!text.trim() || this.running || this.sending) return;
    this.sending = true;
    const draft = this.#draft;
    try {
      await this.send(text);
      if (this.field.value === text) {
        this.field.value = "";
        this.#isOwn = false;
      }
      local.removeItem(draft);
      this.#typed();
    } finally {
      this.sending = false;
    }
  }

  #typed() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, MOST_PX)}px`;
    this.button.disabled = !this.field.value.trim();
    if (this.field.value) local.setItem(this.#draft, this.field.value);
    else local.removeItem(this.#draft);
  }

  get #draft() {
    return `shosei.draft.${this.place}`;
  }

  #showDraft() {
    this.field.value = local.getItem(this.#draft) ?? "";
    this.#typed();
  }
}
