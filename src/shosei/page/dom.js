// Elements of the page, made in one call.

const PROPERTIES = new Set(["value", "checked", "textContent"]);
const SVG = "http://www.w3.org/2000/svg";

// Outlines of 24 by 24.
const ICONS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  write: "M12 20h8M16.5 4.5a2 2 0 0 1 3 3L8 19l-4 1 1-4z",
  settings: "M4 8h9M17 8h3M4 16h3M11 16h9M15 5.8v4.4M9 13.8v4.4",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  check: "M5 13l4.5 4.5L19 7",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4.5h-4.5",
  onward: "M5 6l6 6-6 6M13 6l6 6-6 6",
  edit: "M16.5 4.5a2 2 0 0 1 3 3L8 19l-4 1 1-4z",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  columns: "M4 5h16v14H4zM12 5v14",
  up: "M7 11v9H4v-9zM7 11l4-7c1.7 0 2.6 1 2.3 2.7L13 10h5.5c1 0 1.7.9 1.5 1.9l-1.2 6.4a2 2 0 0 1-2 1.7H7",
  down: "M7 13V4H4v9zM7 13l4 7c1.7 0 2.6-1 2.3-2.7L13 14h5.5c1 0 1.7-.9 1.5-1.9l-1.2-6.4a2 2 0 0 0-2-1.7H7",
  star: "M12 4l2.4 5.2 5.6.7-4.1 3.9 1.1 5.6-5-2.8-5 2.8 1.1-5.6L4 9.9l5.6-.7z",
  remove: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7",
  close: "M6 6l12 12M18 6L6 18",
  below: "M12 5v14M6 13l6 6 6-6",
};

/**
 * An element. Of `attributes`, `on…` are listeners, `value`, `checked` and `textContent` properties; one that is
 * null or false is left out. Children that are null or false too.
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A drawing that says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon and is named by `label`. */
export function iconButton(name, label, onclick, attributes = {}) {
  return element("button", { type: "button", class: "icon-button", title: label, "aria-label": label, onclick, ...attributes }, icon(name));
}

/** A button with words. */
export function textButton(label, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, label);
}

/** Whether the text went into the clipboard, also where the page has no secure origin. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element("textarea", { value: text, class: "unseen", "aria-hidden": "true" });
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const worked = document.execCommand("copy");
    field.remove();
    return worked;
  }
}

/** A button that copies what `text` returns, and shows for a moment that it did. */
export function copyButton(label, done, text) {
  const button = iconButton("copy", label, async () => {
    if (!(await copied(text()))) return;
    show("check", done);
    setTimeout(() => show("copy", label), 1500);
  });
  const show = (name, words) => {
    button.replaceChildren(icon(name));
    button.setAttribute("aria-label", words);
    button.title = words;
  };
  return button;
}
