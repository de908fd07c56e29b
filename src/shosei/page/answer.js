// An answer while it comes: its words, its thoughts, its calls, its times.

const LEAST_S = 0.05; // what came within less came at once, and shows no rate

/** Adds chunks of a chat completion to the message `node`. `asked_ms` is when its reader asked, by `performance.now()`. */
export class Answer {
  #asked_ms;
  #first_ms = null;
  #pieces = 0;

  constructor(node, asked_ms) {
    this.node = node;
    this.#asked_ms = asked_ms;
  }

  /** Whether anything of it has come. */
  get begun() {
    return this.#first_ms !== null;
  }

  take(chunk) {
    const { node } = this;
    node.answer = chunk.id ?? node.answer;
    node.model = chunk.model ?? node.model;
    const choice = chunk.choices?.[0];
    const delta = choice?.delta ?? {};
    const thought = delta.reasoning_content ?? delta.reasoning ?? "";
    if (thought || delta.content || delta.tool_calls) this.#time();
    node.thoughts += thought;
    node.content += delta.content ?? "";
    for (const piece of delta.tool_calls ?? []) this.#call(piece);
    if (choice?.finish_reason) node.state = choice.finish_reason === "length" ? "cut" : "done";
    if (chunk.usage) this.#measure(chunk.usage.completion_tokens);
  }

  /** Leave no half of a character, which no server would take back. */
  end() {
    if (!this.node.figures && this.begun) this.#measure(null);
    this.node.content = this.node.content.toWellFormed?.() ?? this.node.content;
  }

  #time() {
    const now = performance.now();
    this.#first_ms ??= now;
    this.last_ms = now;
    this.#pieces += 1;
  }

  /** `tokens` as the server counted them; null: as many as pieces came, which is said to be a guess. */
  #measure(tokens) {
    if (!this.begun) return;
    const count = tokens ?? this.#pieces;
    const seconds = (this.last_ms - this.#first_ms) / 1000;
    this.node.figures = {
      first_s: (this.#first_ms - this.#asked_ms) / 1000,
      tokens: count,
      per_s: count > 1 && seconds >= LEAST_S ? (count - 1) / seconds : null,
      guessed: tokens === null,
    };
  }

  #call(piece) {
    const { calls } = this.node;
    const call = (calls[piece.index ?? 0] ??= { name: "", arguments: "" });
    call.name += piece.function?.name ?? "";
    call.arguments += piece.function?.arguments ?? "";
  }
}

const THINK = /^\s*<think>([\s\S]*?)(?:<\/think>\s*|$)/;

/** Thoughts and words of a message, also where the server left the thoughts in the text; no half of a character. */
export function parts(node) {
  const inText = node.role === "assistant" && THINK.exec(node.content);
  const words = inText ? node.content.slice(inText[0].length) : node.content;
  return { thoughts: node.thoughts || (inText ? inText[1].trim() : ""), words: words.replace(/[\ud800-\udbff]$/, "") };
}
