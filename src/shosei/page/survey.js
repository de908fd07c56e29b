// A survey after some answers: how content the reader is on the whole, and what the operator wants to know.

import { element, textButton } from "./dom.js";
import { local } from "./kept.js";
import { inLanguage, say, sentences } from "./words.js";

const SEEN = "shosei.answers"; // answers since the last survey

/** `form`: what the host says of ratings, with `survey`: `{after, questions}`; a question: `{id, kind, words}`, kind stars or text. */
export class Survey {
  constructor(root, form, outbox) {
    Object.assign(this, { root, form, outbox });
    this.survey = form?.survey;
  }

  /** An answer was read to its end; `answer` is its id, by which the server knows that this reader had one. */
  count(answer) {
    if (!this.survey?.after) return;
    const seen = Number(local.getItem(SEEN) ?? 0) + 1;
    local.setItem(SEEN, String(seen));
    if (seen >= this.survey.after && this.root.hidden) this.#ask(answer);
  }

  #ask(request) {
    const questions = this.survey.questions.filter(({ kind }) => kind !== "text" || this.form.keep_text).map(asQuestion);
    const csat = starsQuestion("csat", say("csat"), say("least"), say("most"));
    const end = () => {
      local.setItem(SEEN, "0");
      this.root.hidden = true;
    };
    const send = textButton(say("survey_send"), () => {
      const answers = Object.fromEntries(questions.map(({ id, value }) => [id, value()]).filter(([, value]) => value));
      this.outbox.add(`survey-${request}`, "v1/survey", { request, csat: csat.value(), answers });
      end();
    }, { class: "primary", disabled: true });
    csat.root.addEventListener("change", () => (send.disabled = false));
    this.root.replaceChildren(
      element("h2", {}, say("survey")),
      ...[csat, ...questions].map(({ root }) => root),
      element(
        "div",
        { class: "survey-foot" },
        element("p", { class: "fine" }, sentences(say("stored_survey"), say(`stored_rater_${this.form.rater}`))),
        element("div", { class: "row" }, textButton(say("survey_later"), end), send),
      ),
    );
    this.root.hidden = false;
  }
}

function asQuestion({ id, kind, words }) {
  if (kind === "stars") return starsQuestion(id, inLanguage(words), say("low"), say("high"));
  const field = element("textarea", { rows: "2", maxlength: "4000" });
  return { id, root: element("label", { class: "field" }, inLanguage(words), field), value: () => field.value.trim() };
}

function starsQuestion(id, words, least, most) {
  const inputs = [1, 2, 3, 4, 5].map((stars) => element("input", { type: "radio", name: `survey-${id}`, value: String(stars), "aria-label": say("stars", { stars }) }));
  const root = element(
    "fieldset",
    { class: "scale" },
    element("legend", {}, words),
    element("div", { class: "steps" }, element("span", { class: "fine" }, least), ...inputs.map((input) => element("label", {}, input, input.value)), element("span", { class: "fine" }, most)),
  );
  return { id, root, value: () => Number(inputs.find((input) => input.checked)?.value ?? 0) };
}
