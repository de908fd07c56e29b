// The dialogs: settings, and the key that a server asks for.

import { enterSends, setEnter, touch } from "./composer.js";
import { element, iconButton, textButton } from "./dom.js";
import { storedWords } from "./rating.js";
import { NUMBERS } from "./settings.js";
import { choose, language, LANGUAGES, say, sentences } from "./words.js";

/** Show a dialog; it is gone once it is closed. */
function open(title, ...content) {
  const close = iconButton("close", say("close"), () => dialog.close());
  const dialog = element("dialog", { "aria-labelledby": "dialog-title" }, element("header", {}, element("h2", { id: "dialog-title" }, title), close), ...content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** A key for this tab, or "" where the reader gives none. `wrong`: the server did not take the last one. */
export function askKey(wrong) {
  return new Promise((resolve) => {
    const field = element("input", { type: "password", autocomplete: "off", spellcheck: "false" });
    let key = "";
    const use = (event) => {
      event.preventDefault();
      key = field.value.trim();
      dialog.close();
    };
    const dialog = open(
      say("key"),
      element("p", {}, say(wrong ? "key_wrong" : "key_wanted")),
      element(
        "form",
        { class: "fields", onsubmit: use },
        element("label", { class: "field" }, say("key"), field),
        element("p", { class: "fine" }, say("key_kept")),
        element("div", { class: "row" }, element("button", { class: "primary" }, say("use_key"))),
      ),
    );
    dialog.addEventListener("close", () => resolve(key));
    field.focus();
  });
}

/**
 * The settings of a conversation and of the page. `actions`: changed (a setting), spoken (another language), exportJson,
 * exportMarkdown, importFile, removeAll, forgetKey (null where no key is in use).
 */
export function openSettings({ settings, models, about, isEmpty }, actions) {
  const change = (name, value) => {
    settings[name] = value;
    actions.changed(settings);
  };
  const languages = select(Object.entries(LANGUAGES), language, async (name) => {
    await choose(name);
    dialog.close();
    actions.spoken();
  });
  const imports = element("input", { type: "file", accept: ".json,application/json", hidden: true, onchange: () => imports.files[0] && (dialog.close(), actions.importFile(imports.files[0])) });
  const dialog = open(
    say("settings"),
    element(
      "div",
      { class: "fields" },
      field("language", languages),
      !touch && field("enter", select([["send", say("enter_sends")], ["line", say("enter_line")]], enterSends() ? "send" : "line", (value) => (setEnter(value === "send"), actions.spoken()))),
      element("h3", {}, say("this_conversation")),
      models.length > 1 && field("model_name", select(models.map((name) => [name, name]), settings.model || models[0], (name) => change("model", name))),
      field("system", element("textarea", { rows: "3", value: settings.system, oninput: ({ target }) => change("system", target.value) })),
      element("div", { class: "numbers" }, ...Object.entries(NUMBERS).map(([name, range]) => numberField(name, range, settings[name], change))),
      tick("json", settings.json, (value) => change("json", value)),
      tick("remember", settings.remember, (value) => change("remember", value)),
      element("h3", {}, say("data")),
      element(
        "div",
        { class: "row start" },
        textButton(say("export_json"), actions.exportJson, { disabled: isEmpty }),
        textButton(say("export_markdown"), actions.exportMarkdown, { disabled: isEmpty }),
        textButton(say("import"), () => imports.click()),
        imports,
        confirmed(say("delete_all"), say("delete_all_sure"), () => (dialog.close(), actions.removeAll())),
        actions.forgetKey && textButton(say("forget_key"), () => (dialog.close(), actions.forgetKey())),
      ),
      element("p", { class: "fine" }, sentences(say("kept_here"), about.ratings ? storedWords(about.ratings) : say("no_ratings"))),
    ),
  );
}

function field(name, input) {
  return element("label", { class: "field" }, say(name), input);
}

function numberField(name, range, value, change) {
  const input = element("input", {
    type: "number",
    inputmode: "decimal",
    ...range,
    value,
    placeholder: say("as_server"),
    oninput: () => input.setAttribute("aria-invalid", String(!input.validity.valid)),
    onchange: () => change(name, input.validity.valid ? input.value : (input.value = "")),
  });
  return field(name, input);
}

function tick(name, checked, change) {
  const input = element("input", { type: "checkbox", checked, onchange: () => change(input.checked) });
  return element("label", { class: "tick" }, input, element("span", {}, say(name), element("span", { class: "fine" }, say(`${name}_more`))));
}

function select(options, chosen, change) {
  const choices = options.map(([value, words]) => element("option", { value, selected: value === chosen, lang: value in LANGUAGES ? value : null }, words));
  return element("select", { onchange: ({ target }) => change(target.value) }, ...choices);
}

/** A button that acts at the second press. */
function confirmed(words, sure, act) {
  const button = textButton(words, () => {
    if (button.textContent === sure) act();
    else button.textContent = sure;
  }, { class: "danger", onblur: () => (button.textContent = words) });
  return button;
}
