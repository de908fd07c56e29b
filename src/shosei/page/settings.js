// What a conversation asks of the model, and how a request says it.

import { local } from "./kept.js";

const KEPT = "shosei.settings";

/** Empty texts leave the choice to the server. `remember`: earlier messages are sent too. */
const DEFAULTS = { system: "", model: "", temperature: "", top_p: "", max_tokens: "", seed: "", json: false, remember: true };

/** The numbers, with the range of each. */
export const NUMBERS = {
  temperature: { min: 0, max: 2, step: "any" },
  top_p: { min: 0.01, max: 1, step: "any" },
  max_tokens: { min: 1, max: 1_000_000, step: 1 },
  seed: { min: 0, max: 2 ** 32 - 1, step: 1 },
};

/** As they were last set here. A model that has learnt single questions only is sent single questions. */
export function lastSettings(about) {
  return { ...DEFAULTS, remember: !about.single_turn, ...known(read()) };
}

/** Use `settings` for conversations to come. */
export function keepSettings(settings) {
  local.setItem(KEPT, JSON.stringify(settings));
}

/** Of a foreign object what is a setting, of the right type. */
export function known(settings) {
  return Object.fromEntries(
    Object.entries(settings ?? {}).filter(([name, value]) => Object.hasOwn(DEFAULTS, name) && typeof value === typeof DEFAULTS[name]),
  );
}

/** The body of a chat completion, but for what makes it a stream. `continuing`: the last message goes on. */
export function requestBody(settings, messages, model, continuing) {
  const numbers = Object.keys(NUMBERS).filter((name) => settings[name] !== "");
  return {
    model: settings.model || model,
    messages: [...(settings.system ? [{ role: "system", content: settings.system }] : []), ...asked(settings, messages, continuing)],
    ...Object.fromEntries(numbers.map((name) => [name, Number(settings[name])])),
    ...(settings.json && { response_format: { type: "json_object" } }),
    ...(continuing && { continue_final_message: true, add_generation_prompt: false }),
  };
}

function asked(settings, messages, continuing) {
  const said = messages.map(({ role, content }) => ({ role, content }));
  return settings.remember ? said : said.slice(continuing ? -2 : -1);
}

function read() {
  try {
    return JSON.parse(local.getItem(KEPT) ?? "{}");
  } catch {
    return {}; // written by something else: as if nothing had been set
  }
}
