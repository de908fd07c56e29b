// The banner: what the page cannot do now, and what its reader can.

import { element, textButton } from "./dom.js";
import { say } from "./words.js";

export class Banner {
  #gone = element("span");
  #tryNow = textButton("", () => this.connection.tryNow(), { class: "small" });

  constructor(root, connection) {
    Object.assign(this, { root, connection, lasting: true });
    connection.addEventListener("change", () => this.draw());
    setInterval(() => connection.gone && this.draw(), 1000);
  }

  /** Say, where it is not `lasting`, that the browser keeps nothing. */
  keeps(lasting) {
    if (lasting === this.lasting) return;
    this.lasting = lasting;
    this.draw();
  }

  /** Say that the server is gone, or else that the browser keeps nothing, where it is not `lasting`. */
  draw() {
    const { root, connection, lasting } = this;
    root.hidden = !connection.gone && lasting;
    if (!connection.gone) return root.replaceChildren(lasting ? "" : say("not_kept"));
    this.#gone.textContent = say("gone", { seconds: Math.max(0, Math.ceil((connection.nextTry - Date.now()) / 1000)) });
    this.#tryNow.textContent = say("try_now");
    // The button stays over the seconds: a new one would have neither the reader's focus nor a press under way.
    if (!this.#tryNow.isConnected) root.replaceChildren(this.#gone, " ", this.#tryNow);
  }

  /** Say what went wrong, until the reader closes it. */
  tell(words) {
    this.root.hidden = false;
    this.root.replaceChildren(words, " ", textButton(say("close"), () => this.draw(), { class: "small" }));
  }
}
