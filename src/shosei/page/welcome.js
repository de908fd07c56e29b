// The first screen: what this model can do, so that nobody asks it for what it never learnt.

import { element, textButton } from "./dom.js";
import { storedWords } from "./rating.js";
import { language, say, sentences } from "./words.js";

const CHIPS = 3;

/** A model's name as people call it: some servers name theirs by the path of its file. */
export const nameOf = (model) => (/^(?:[A-Za-z]:)?[\\/]/.test(model) ? model.split(/[\\/]/).findLast(Boolean) : model) || "Shosei";

/** `about` is what the host says; `ask` gets the question of a chip. */
export function welcome(about, model, ask) {
  const form = about.ratings;
  return element(
    "section",
    { class: "welcome", "aria-labelledby": "welcome" },
    element("span", { class: "seal large", lang: "ja", "aria-hidden": "true" }, "書生"),
    element("h2", { id: "welcome" }, nameOf(model)),
    element("p", { class: "can" }, abilities(about)),
    about.single_turn && element("p", { class: "fine" }, say("single_turn")),
    examples(about).length > 0 && element("p", { class: "try", id: "try" }, say("try")),
    element("ul", { class: "chips", "aria-labelledby": "try" }, ...examples(about).map((example) => element("li", {}, chip(example, ask)))),
    element("p", { class: "fine kept" }, sentences(say("kept_here"), form ? storedWords(form) : say("no_ratings"))),
  );
}

function abilities(about) {
  if (!about.trained_on.length) return say("unknown_abilities");
  const topics = about.trained_on.map((topic) => {
    const words = say(`topic_${topic}`);
    return words === `topic_${topic}` ? topic : words;
  });
  return say("trained_on", { topics: new Intl.ListFormat(language, { type: "conjunction" }).format(topics) });
}

/** Of each topic one before a second of any, those in the reader's language first. */
function examples(about) {
  const own = about.examples.filter(({ lang }) => language.startsWith(lang));
  const chosen = own.length ? own : about.examples;
  const topics = [...new Set(chosen.map(({ suite }) => suite))];
  const rank = ({ suite }, place) => chosen.slice(0, place).filter((each) => each.suite === suite).length * topics.length + topics.indexOf(suite);
  return chosen.map((example, place) => [rank(example, place), example]).sort(([a], [b]) => a - b).slice(0, CHIPS).map(([, example]) => example);
}

function chip({ text, lang }, ask) {
  return textButton(text, () => ask(text), { class: "chip-button", lang: lang === "zh" ? "zh-CN" : lang });
}
