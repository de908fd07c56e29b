// The words of the page, in the language of the reader.

import { local } from "./kept.js";

/** Languages by their own names. */
export const LANGUAGES = { en: "English", "zh-CN": "简体中文", ja: "日本語" };

const CHOSEN = "shosei.language";
let texts = {};

/** The language of the page. */
export let language = "en";

/** The language that was chosen here, or the first of the browser's that the page has. */
export function preferredLanguage(chosen = local.getItem(CHOSEN), wanted = navigator.languages) {
  if (chosen in LANGUAGES) return chosen;
  for (const tag of wanted) {
    const known = Object.keys(LANGUAGES).find((name) => name.split("-")[0] === tag.toLowerCase().split("-")[0]);
    if (known) return known;
  }
  return "en";
}

/** Speak `name` from now on. */
export async function speak(name) {
  const response = await fetch(new URL(`texts/${name}.json`, import.meta.url));
  texts = await response.json();
  language = name;
  document.documentElement.lang = name;
}

/** Speak `name`, here and on later visits. */
export async function choose(name) {
  await speak(name);
  local.setItem(CHOSEN, name);
}

/** The words of `key`, with `values` in the places of `{name}`. */
export function say(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** Sentences after each other; Chinese and Japanese have no space between them. */
export function sentences(...all) {
  return all.join(language === "en" ? " " : "");
}

/** What a table of an operator's says in the language of the page, or else in any. */
export function inLanguage(table) {
  return table[language] ?? table[language.split("-")[0]] ?? table.en ?? Object.values(table)[0] ?? "";
}

/** A number as the page writes it, with `digits` after the point at most. */
export function number(value, digits = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: digits });
}
