// What went wrong, in words that a reader understands.

import { say } from "./words.js";

/**
 * Kinds: `key` (a key is wanted), `busy` (later), `long` (too long for the model), `gone` (no server answers),
 * `broken` (the answer broke off), `late` (out of time), `upstream` (the server behind the gateway), `refused` (the rest).
 */
export class Problem extends Error {
  /** `retryAfter` in seconds, null where the server said none; `detail` in the server's words. */
  constructor(kind, detail = "", retryAfter = null, status = 0) {
    super(detail);
    Object.assign(this, { kind, detail, retryAfter, status });
  }

  /** What a response that is no answer means. */
  static async of(response) {
    const seconds = Number.parseFloat(response.headers.get("retry-after") ?? "");
    const text = await response.text().catch(() => "");
    return Problem.said(response.status, errorIn(text) ?? { message: text.slice(0, 300) }, Number.isFinite(seconds) ? Math.max(seconds, 1) : null);
  }

  /** What an error in OpenAI's form means. */
  static said(status, error, retryAfter = null) {
    const detail = String(error.message ?? "");
    return new Problem(kindOf(status, String(error.code ?? ""), detail, retryAfter), detail, retryAfter, status);
  }

  /** The sentence that the page shows. `detail` follows where only the server knows what is meant. */
  get words() {
    return say(`problem_${this.kind}`, { detail: this.detail });
  }

  /** What of it can be kept in a conversation. */
  get record() {
    return { kind: this.kind, detail: this.detail };
  }
}

function errorIn(text) {
  try {
    const body = JSON.parse(text);
    const error = body.error ?? body.detail ?? body;
    return typeof error === "string" ? { message: error } : error;
  } catch {
    return null; // no JSON: the text itself is shown
  }
}

function kindOf(status, code, detail, retryAfter) {
  if (status === 401) return "key";
  if (status === 429 || (status === 503 && (retryAfter !== null || code === "out_of_memory"))) return "busy";
  if (code === "context_length_exceeded" || status === 413 || /context (length|window|size)|too many tokens|maximum context/i.test(detail)) return "long";
  if (status === 504 || code === "timeout") return "late";
  if (status === 502) return "upstream";
  if (["engine_lost", "not_ready", "unavailable", "stopped"].includes(code)) return "gone";
  return "refused";
}
