// The server's API over HTTP: OpenAI's, and what the page asks besides.

import { session } from "./kept.js";
import { Problem } from "./problem.js";
import { events } from "./sse.js";

const KEY = "shosei.key";

export class Api {
  /** Paths are below `base`, so that the page works behind a proxy's prefix. */
  constructor(base = document.baseURI) {
    this.base = base;
    this.key = session.getItem(KEY) ?? "";
  }

  /** Use `key` in this tab, until it is closed; an empty one forgets it. */
  useKey(key) {
    this.key = key;
    if (key) session.setItem(KEY, key);
    else session.removeItem(KEY);
  }

  /** What the host says of the model and of ratings. */
  async about() {
    return this.#json("page/about.json");
  }

  /** The names of the models that are served. */
  async models() {
    const { data } = await this.#json("v1/models");
    return data.map((model) => model.id);
  }

  /** Whether the server's process answers at all, be it that it wants a key. */
  async lives() {
    try {
      return (await fetch(new URL("livez", this.base), { cache: "no-store", signal: AbortSignal.timeout(5000) })).status < 500;
    } catch {
      return false;
    }
  }

  /** Send a JSON object; the answer's own. Throws Problem. */
  async post(path, body) {
    return this.#json(path, { body });
  }

  /** The chunks of a streamed chat completion. Throws Problem; `broken` where the stream ends before the answer does. */
  async *chat(body, signal) {
    const response = await this.#ask("v1/chat/completions", { body: { ...body, stream: true, stream_options: { include_usage: true } }, signal });
    let ended = false;
    try {
      for await (const data of events(response.body)) {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw Problem.said(chunk.error.status ?? 500, chunk.error);
        ended ||= (chunk.choices ?? []).some((choice) => choice.finish_reason);
        yield chunk;
      }
    } catch (error) {
      if (error instanceof Problem || error.name === "AbortError") throw error;
      throw new Problem("broken", error.message);
    }
    if (!ended) throw new Problem("broken");
  }

  async #json(path, request) {
    const response = await this.#ask(path, request);
    try {
      return await response.json();
    } catch (error) {
      throw new Problem("gone", error.message); // cut off, or something between here and the server answered
    }
  }

  async #ask(path, { body, signal } = {}) {
    const headers = { ...(this.key && { Authorization: `Bearer ${this.key}` }), ...(body && { "Content-Type": "application/json" }) };
    let response;
    try {
      response = await fetch(new URL(path, this.base), {
        method: body ? "POST" : "GET",
        headers,
        body: body && JSON.stringify(body),
        signal,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("gone", error.message);
    }
    if (!response.ok) throw await Problem.of(response);
    return response;
  }
}
