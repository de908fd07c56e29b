// Asking: sends questions, takes answers in, and waits where the server cannot answer now.

import { Answer } from "./answer.js";
import { Problem } from "./problem.js";
import { requestBody } from "./settings.js";

const KEPT_EVERY_MS = 1000;
const BUSY_S = [2, 4, 8, 15, 30]; // where the server does not say when

export class Chat extends EventTarget {
  #api;
  #store;
  #connection;
  #askKey;
  #running = new Map(); // by message, what ends its answer

  /** `askKey` resolves once the reader gave a key, with false where they would not. Fires `change` with `{conversation, node}`. */
  constructor(api, store, connection, askKey, model) {
    super();
    this.#api = api;
    this.#store = store;
    this.#connection = connection;
    this.#askKey = askKey;
    this.model = model;
  }

  isRunning(node) {
    return this.#running.has(node.id);
  }

  /** Ask `text` below the message `parent` ("" for a first one). Resolves once the browser keeps the question. */
  async ask(conversation, parent, text) {
    const isNew = conversation.isEmpty;
    const question = conversation.add(parent, "user", { content: text });
    await this.#store.keep(conversation.record, isNew);
    this.again(conversation, question);
  }

  /** Have a question answered, beside the answers that it has. */
  again(conversation, question) {
    this.#answer(conversation, conversation.add(question.id, "assistant", { state: "waiting" }), false);
  }

  /** Have an answer that failed tried again, in its place. */
  retry(conversation, node) {
    this.#answer(conversation, node, false);
  }

  /** Have an answer go on where it ended. */
  goOn(conversation, node) {
    this.#answer(conversation, node, true);
  }

  stop(node) {
    this.#running.get(node.id)?.abort();
  }

  async #answer(conversation, node, continuing) {
    const stop = new AbortController();
    this.#running.set(node.id, stop);
    const messages = [...conversation.above(node), ...(continuing ? [node] : [])].filter((each) => each.content);
    const body = requestBody(conversation.settings, messages, this.model, continuing);
    Object.assign(node, { state: "waiting", problem: null, figures: null, rating: null }, continuing ? {} : { content: "", thoughts: "", calls: [] });
    const answer = new Answer(node, performance.now());
    // Other tabs see by it that this one is still at it.
    const keep = () => (conversation.touch(node), this.#store.keep(conversation.record));
    const keeping = setInterval(keep, KEPT_EVERY_MS);
    keep();
    try {
      await this.#untilAnswered(conversation, answer, body, stop.signal);
    } catch (error) {
      if (stop.signal.aborted) node.state = "stopped";
      else Object.assign(node, { state: answer.begun ? "broken" : "failed", problem: asProblem(error).record });
    }
    clearInterval(keeping);
    node.wait = null;
    answer.end();
    await keep();
    this.#running.delete(node.id); // not before it is kept: whoever sees the end may close the page
    this.#changed(conversation, node);
  }

  async #untilAnswered(conversation, answer, body, signal) {
    for (let turns = 0; ; turns++) {
      this.#changed(conversation, answer.node);
      try {
        return await this.#stream(conversation, answer, body, signal);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (answer.begun) {
          this.#connection.check(); // it may be only the answer that is lost
          throw error;
        }
        await this.#room(conversation, answer.node, error, turns, signal);
      }
    }
  }

  /** Wait until it is worth asking again; throws `problem` where it never is. */
  async #room(conversation, node, problem, turns, signal) {
    const isFirstBreak = problem.kind === "broken" && turns === 0;
    if (isFirstBreak && (await this.#wait(signal, this.#connection.check()))) return;
    if (problem.kind === "gone" || isFirstBreak) {
      node.wait = { kind: "gone" };
      this.#changed(conversation, node);
      await this.#wait(signal, this.#connection.back());
    } else if (problem.kind === "busy" && (problem.retryAfter !== null || turns < BUSY_S.length)) {
      const wait_s = problem.retryAfter ?? BUSY_S[turns];
      node.wait = { kind: "busy", until: Date.now() + wait_s * 1000 };
      this.#changed(conversation, node);
      await this.#wait(signal, new Promise((resolve) => setTimeout(resolve, wait_s * 1000)));
    } else if (!(problem.kind === "key" && (await this.#askKey(problem)))) throw problem;
    node.wait = null;
  }

  async #stream(conversation, answer, body, signal) {
    for await (const chunk of this.#api.chat(body, signal)) {
      answer.take(chunk);
      if (answer.begun && answer.node.state === "waiting") answer.node.state = "streaming";
      this.#changed(conversation, answer.node);
    }
    // An empty answer is one, and so is that of a server which names no reason for its end.
    if (["waiting", "streaming"].includes(answer.node.state)) answer.node.state = "done";
  }

  #wait(signal, promise) {
    const stopped = new Promise((_, reject) => {
      const stop = () => reject(signal.reason);
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
    });
    return Promise.race([promise, stopped]);
  }

  #changed(conversation, node) {
    this.dispatchEvent(new CustomEvent("change", { detail: { conversation, node } }));
  }
}

function asProblem(error) {
  return error instanceof Problem ? error : new Problem("refused", error.message);
}
