// Whether the server is there, and the wait until it is again.

const LONGEST_S = 15;

export class Connection extends EventTarget {
  #api;
  #waiting = null; // for the server to be back
  #hurry = () => {};

  constructor(api) {
    super();
    this.#api = api;
    this.gone = false;
    this.nextTry = 0; // in milliseconds since 1970, while it is gone
    addEventListener("online", () => this.tryNow());
  }

  /** Resolves once the server lives. Asks after 1, 2, 4 … 15 seconds, and fires `change` on the way. */
  back() {
    this.#waiting ??= this.#reconnect();
    return this.#waiting;
  }

  /** Whether the server lives now; where it does not, the wait for it begins. */
  async check() {
    const lives = !this.gone && (await this.#api.lives());
    if (!lives) this.back();
    return lives;
  }

  /** Ask at once. */
  tryNow() {
    this.#hurry();
  }

  async #reconnect() {
    this.gone = true;
    for (let wait_s = 1; ; wait_s = Math.min(2 * wait_s, LONGEST_S)) {
      this.nextTry = Date.now() + wait_s * 1000;
      this.dispatchEvent(new Event("change"));
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait_s * 1000);
        this.#hurry = () => (clearTimeout(timer), resolve());
      });
      if (await this.#api.lives()) break;
    }
    this.#waiting = null;
    this.gone = false;
    this.dispatchEvent(new Event("change"));
  }
}
