// One message on the page: its words, thoughts and calls, what it cost, and what can be done with it.

import { parts } from "./answer.js";
import { copyButton, element, icon, iconButton, textButton } from "./dom.js";
import { languageOf } from "./language.js";
import { MarkdownView } from "./markdown.js";
import { Problem } from "./problem.js";
import { RatingView } from "./rating.js";
import { language, number, say } from "./words.js";

const RUNNING = ["waiting", "streaming"];

/** What can still be added to an answer: one that ended by itself is whole. */
const CAN_GO_ON = ["cut", "stopped", "broken"];

/** `actions`: again, retry, goOn, stop, edit, choose, beside; each takes the message. `rating`: what a RatingView needs, or null. */
export class MessageView {
  #editor = null;

  constructor(node, actions, rating) {
    this.node = node;
    this.actions = actions;
    this.body = element("div", { class: "words" });
    this.markdown = node.role === "assistant" ? new MarkdownView(this.body, finishBlock) : null;
    this.thoughts = element("div", { class: "thoughts-text" });
    this.thoughtsFold = fold("thoughts", say("thoughts"), this.thoughts);
    this.calls = element("div", { class: "calls" });
    this.state = element("p", { class: "state" });
    this.figures = element("p", { class: "figures fine" });
    this.buttons = element("div", { class: "buttons" });
    this.rating = node.role === "assistant" && rating ? new RatingView(node, rating) : null;
    this.unrated = node.role === "assistant" && !rating ? element("p", { class: "unrated fine", lang: language }, say("no_ratings")) : null;
    this.foot = element("div", { class: "foot" }, this.buttons, this.rating?.buttons, this.figures);
    this.root = element(
      "article",
      { class: `message ${node.role}`, "aria-label": say(node.role === "user" ? "you" : "model"), tabindex: "-1" },
      node.role === "assistant" && element("span", { class: "seal", lang: "ja", "aria-hidden": "true" }, "書"),
      element("div", { class: "column" }, this.thoughtsFold, this.calls, this.body, this.state, this.foot, this.rating?.panel ?? this.unrated),
    );
  }

  /** Show the message as it is. `before`: the language of the message above; `running`: whether this tab is at it. */
  update({ versions, before, running, beside }) {
    const { node } = this;
    const { thoughts, words } = parts(node);
    this.language = languageOf(words || thoughts, before, language);
    this.root.lang = this.language;
    this.root.classList.toggle("running", running);
    this.root.setAttribute("aria-busy", String(running));
    if (this.#editor) return;
    if (this.markdown) this.markdown.show(words);
    else this.body.textContent = words;
    this.thoughtsFold.hidden = !thoughts;
    this.thoughts.textContent = thoughts;
    this.#showCalls();
    const isEmpty = node.role === "assistant" && !words && !node.calls.length;
    this.#showState(running, isEmpty);
    this.#showFigures();
    this.#showButtons(versions, running, beside);
    if (this.unrated) this.unrated.hidden = running;
    this.rating?.update(!running && Boolean(node.answer) && (!isEmpty || node.state === "done"));
  }

  /** Let the reader write the question anew. */
  edit() {
    const field = element("textarea", { value: this.node.content, rows: "3", "aria-label": say("edit") });
    const end = () => {
      this.#editor.replaceWith(this.body);
      this.#editor = null;
      this.foot.hidden = false;
    };
    const send = textButton(say("send_edited"), () => {
      if (!field.value.trim()) return;
      end();
      this.actions.edit(this.node, field.value);
    }, { class: "primary" });
    this.#editor = element("div", { class: "editor" }, field, element("div", { class: "row" }, textButton(say("cancel"), end), send));
    this.body.replaceWith(this.#editor);
    this.foot.hidden = true;
    field.focus();
  }

  #showCalls() {
    const folds = this.node.calls.filter(Boolean).map((call) => {
      const code = (text) => element("pre", {}, element("code", { lang: "" }, pretty(text)));
      const result = call.result ? [element("p", { lang: language }, say("call_result")), code(call.result)] : [];
      return fold("call", say("call", { name: call.name }), code(call.arguments), ...result);
    });
    const open = [...this.calls.children].map((each) => each.open);
    folds.forEach((each, place) => (each.open = open[place] ?? false));
    this.calls.replaceChildren(...folds);
  }

  #showState(running, isEmpty) {
    const { node } = this;
    this.state.lang = language;
    this.state.hidden = false;
    this.state.classList.toggle("bad", Boolean(node.problem));
    if (running && node.wait) this.state.replaceChildren(waitWords(node.wait));
    else if (running && node.state === "waiting") this.state.replaceChildren(element("span", { class: "dots", role: "img", "aria-label": say("waiting") }));
    else if (node.problem) this.state.replaceChildren(new Problem(node.problem.kind, node.problem.detail).words);
    else if (!running && RUNNING.includes(node.state)) this.state.replaceChildren(say("state_elsewhere"));
    else if (["stopped", "cut"].includes(node.state)) this.state.replaceChildren(say(`state_${node.state}`));
    else if (!running && isEmpty && node.state === "done") this.state.replaceChildren(say("state_empty"));
    else this.state.hidden = true;
    if (running || node.role === "user") return;
    if (CAN_GO_ON.includes(node.state) && node.content) this.state.append(" ", textButton(say("go_on"), () => this.actions.goOn(node), { class: "small" }));
    if (["failed", "broken"].includes(node.state) || RUNNING.includes(node.state)) {
      this.state.append(" ", textButton(say("retry"), () => this.actions.retry(node), { class: "small" }));
    }
  }

  #showFigures() {
    const { figures } = this.node;
    this.figures.lang = language;
    this.figures.hidden = !figures;
    if (!figures) return;
    const rate = figures.per_s && say("figure_rate", { rate: number(figures.per_s, figures.per_s < 10 ? 1 : 0) });
    const first = say("figure_first", { seconds: number(figures.first_s, 2) });
    const tokens = say(figures.guessed ? "figure_pieces" : "figure_tokens", { count: number(figures.tokens) });
    this.figures.replaceChildren([rate, first, tokens].filter(Boolean).join(" · "));
  }

  #showButtons(versions, running, beside) {
    const { node, actions } = this;
    const place = versions.indexOf(node);
    const focused = this.buttons.contains(document.activeElement) && document.activeElement.dataset.does;
    const does = (name, icon_, act, more = {}) => iconButton(icon_, say(name), act, { "data-does": name, ...more });
    const turn = (name, icon_, other) => does(name, icon_, () => actions.choose(other), { disabled: !other });
    const pager = versions.length > 1 && !beside && [
      turn("version_before", "left", versions[place - 1]),
      element("span", { class: "count" }, `${place + 1}/${versions.length}`),
      turn("version_after", "right", versions[place + 1]),
    ];
    const columns = versions.length > 1 && node.role === "assistant" && does("beside", "columns", () => actions.beside(node), { "aria-pressed": String(beside) });
    const copy = copyButton(say("copy"), say("copied"), () => parts(node).words);
    this.buttons.lang = language;
    this.buttons.replaceChildren(
      ...(running ? [] : [copy, node.role === "user" ? does("edit", "edit", () => this.edit()) : does("again", "again", () => actions.again(node))]),
      ...(pager || []),
      ...(columns ? [columns] : []),
      ...(beside ? [textButton(say(beside === "chosen" ? "kept" : "keep"), () => actions.choose(node), { class: "small", "data-does": "keep", "aria-pressed": String(beside === "chosen") })] : []),
    );
    if (focused) this.buttons.querySelector(`[data-does="${focused}"]`)?.focus();
  }
}

function fold(name, words, ...content) {
  return element("details", { class: `fold ${name}` }, element("summary", { lang: language }, icon("right"), words), ...content);
}

function waitWords(wait) {
  if (wait.kind === "gone") return say("wait_gone");
  return say("wait_busy", { seconds: Math.max(1, Math.ceil((wait.until - Date.now()) / 1000)) });
}

function finishBlock(block) {
  for (const pre of block.querySelectorAll("pre")) {
    pre.lang = "";
    pre.translate = false;
    pre.tabIndex = 0;
    const copy = copyButton(say("copy_code"), say("copied"), () => pre.textContent);
    copy.lang = language;
    const frame = element("div", { class: "code" });
    pre.replaceWith(frame);
    frame.append(pre, copy);
  }
  for (const table of block.querySelectorAll("table")) {
    const frame = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("table") });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const box of block.querySelectorAll("input")) box.setAttribute("aria-label", box.checked ? say("ticked") : say("unticked"));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // still coming, or no JSON: as it is
  }
}
