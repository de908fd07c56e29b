// Rating an answer: thumbs or stars at once, then reasons and words if the reader likes.

import { element, icon, iconButton, textButton } from "./dom.js";
import { local } from "./kept.js";
import { inLanguage, language, say, sentences } from "./words.js";

const TOLD = "shosei.rated"; // that this browser has rated, and so was told what is stored
const GOOD_STARS = 4;

/** What a rating stores, in one or two sentences. */
export function storedWords(form) {
  return sentences(say("stored_rating"), say(`stored_rater_${form.rater}`), say(form.keep_text ? "stored_text" : "stored_no_text"));
}

/** `form` is what the host says of ratings; `send` gets a rated message with the body to send; `state` tells how far one is. */
export class RatingView {
  constructor(node, { form, send, state }) {
    Object.assign(this, { node, form, send, state, open: false });
    this.values = form.scale === "stars" ? [1, 2, 3, 4, 5].map((stars) => ({ stars })) : [{ thumbs: "up" }, { thumbs: "down" }];
    this.choices = this.values.map((value) => iconButton(value.thumbs ?? "star", label(value), (event) => this.#press(value, event), { "aria-pressed": "false" }));
    this.status = element("span", { class: "rating-status fine", role: "status" });
    this.note = element("span", { class: "rating-note fine" }, storedWords(form));
    this.buttons = element("div", { class: `rating ${form.scale}`, role: "group", "aria-label": say("rate") }, ...this.choices, this.status);
    this.panel = element("div", { class: "rating-panel", hidden: true });
    this.panel.lang = this.buttons.lang = language;
  }

  /** `canBeRated`: the answer has ended, and the server gave it an id. */
  update(canBeRated) {
    const { rating } = this.node;
    this.buttons.hidden = !canBeRated;
    this.choices.forEach((choice, place) => {
      const value = this.values[place];
      const pressed = value.stars ? value.stars <= (rating?.stars ?? 0) : value.thumbs === rating?.thumbs;
      choice.setAttribute("aria-pressed", String(pressed));
    });
    const untold = canBeRated && !local.getItem(TOLD);
    if (untold && !this.note.isConnected) this.panel.before(this.note);
    if (!untold) this.note.remove();
    this.panel.hidden = !canBeRated || !this.open;
    this.#showStatus();
  }

  /** Rate, or take back the same rating; the second click of a double one does neither. */
  #press(value, event) {
    if (event.detail > 1) return;
    const { thumbs, stars } = this.node.rating ?? {};
    if (value.thumbs === thumbs && value.stars === stars) this.#withdraw();
    else this.#rate(value);
  }

  #withdraw() {
    this.open = false;
    this.#send({ withdrawn: true, tags: [], comment: "" });
    this.update(true);
  }

  #rate(value) {
    local.setItem(TOLD, "yes");
    const { tags = [], comment = "" } = this.node.rating ?? {};
    const good = isGood(value);
    const fitting = this.form.tags.filter((tag) => tag.good === good && tags.includes(tag.id)).map((tag) => tag.id);
    this.open = true;
    this.#send({ ...value, tags: fitting, comment });
    this.#fillPanel();
    this.update(true);
    document.querySelectorAll(".rating-note").forEach((note) => note.remove()); // the others' are read, too
    this.panel.scrollIntoView({ block: "nearest" });
  }

  #send(rating) {
    const { node } = this;
    node.rating = { ...rating, saved: false };
    const { tags, comment, ...value } = rating;
    const body = { request: node.answer, ...value, ...(tags.length && { tags }), ...(comment && { comment }) };
    this.send(node, body);
    this.#showStatus();
  }

  #fillPanel() {
    const { rating } = this.node;
    const tags = this.form.tags.filter((tag) => tag.good === isGood(rating));
    const chips = tags.map((tag) => {
      const chip = textButton(inLanguage(tag.words), () => chip.setAttribute("aria-pressed", String(chip.ariaPressed !== "true")), {
        class: "chip-button",
        "aria-pressed": String(rating.tags.includes(tag.id)),
      });
      return chip;
    });
    const comment = this.form.keep_text && element("textarea", { rows: "2", maxlength: "4000", value: rating.comment, placeholder: say("comment"), "aria-label": say("comment") });
    const close = () => {
      this.open = false;
      this.panel.hidden = true;
      this.choices.find((choice) => choice.ariaPressed === "true")?.focus();
    };
    const send = () => {
      const chosen = tags.filter((_, place) => chips[place].ariaPressed === "true").map((tag) => tag.id);
      this.#send({ ...this.#value(), tags: chosen, comment: comment ? comment.value.trim() : "" });
      close();
    };
    if (!chips.length && !comment) return void (this.open = false);
    this.panel.replaceChildren(
      element("p", {}, say(isGood(rating) ? "what_was_good" : "what_was_bad")),
      element("div", { class: "chips" }, ...chips),
      ...(comment ? [comment] : []),
      element("p", { class: "fine" }, storedWords(this.form)),
      element("div", { class: "row" }, textButton(say("close"), close), textButton(say("send_reasons"), send, { class: "primary" })),
    );
  }

  #value() {
    const { stars, thumbs } = this.node.rating;
    return stars ? { stars } : { thumbs };
  }

  #showStatus() {
    const { rating, answer } = this.node;
    this.status.replaceChildren(...(rating ? statusWords(this.state(answer), rating) : []));
  }
}

/** How far a rating is: nothing is called saved before the server's disk has it. */
function statusWords(state, { saved, withdrawn }) {
  if (state?.state === "waiting") {
    return [say("rating_waiting", { seconds: Math.max(1, Math.ceil((state.until - Date.now()) / 1000)) })];
  }
  if (state?.state === "refused") return [say("rating_refused", { detail: state.problem.detail })];
  if (saved || state?.state === "saved") return [icon("check"), say(withdrawn ? "rating_withdrawn" : "rating_saved")];
  return [say("rating_sending")];
}

function isGood({ thumbs, stars }) {
  return thumbs === "up" || stars >= GOOD_STARS;
}

function label({ thumbs, stars }) {
  return thumbs ? say(`thumb_${thumbs}`) : say("stars", { stars });
}
