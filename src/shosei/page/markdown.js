// Markdown of a model as elements. Nothing that a model writes can run, load, or leave the place of its message.

import hljs from "./vendor/highlight.min.js";
import { Marked, Tokenizer } from "./vendor/marked.esm.js";
import DOMPurify from "./vendor/purify.es.mjs";

const LONGEST_HIGHLIGHTED = 20_000; // characters
const ALLOWED = {
  ALLOWED_TAGS: [
    ...["p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "strong", "em", "del", "a"],
    ...["code", "pre", "span", "table", "thead", "tbody", "tr", "th", "td", "input"],
  ],
  ALLOWED_ATTR: ["href", "title", "class", "align", "start", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ["align", "start", "type", "checked", "disabled"], // no addresses
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const LINK = /^(?:https?:\/\/|mailto:)/i;

const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** `**強調**は` is bold, though CommonMark sees no word's edge beside the punctuation and letters of Chinese and Japanese. */
const strongBesideHan = {
  name: "strong",
  level: "inline",
  start: (text) => text.indexOf("**"),
  tokenizer(text) {
    const found = /^\*\*(?![\s*])([^*`\n]+?)(?<!\s)\*\*(?!\*)/.exec(text);
    return found && { type: "strong", raw: found[0], text: found[1], tokens: this.lexer.inlineTokens(found[1]) };
  },
  renderer: undefined,
};

/** JSON laid out in lines keeps its indentation without a fence too: in JSON mode a model may write no fence. */
const bareJson = {
  name: "json",
  level: "block",
  tokenizer(text) {
    const json = /^[{[]\n(?:.*\S.*(?:\n|$))*/.exec(text)?.[0];
    return json && { type: "code", raw: json, lang: "json", text: json.trimEnd() };
  },
  renderer: undefined,
};

const markdown = new Marked({
  gfm: true,
  breaks: true,
  extensions: [strongBesideHan, bareJson],
  tokenizer: {
    /** An address ends where Chinese or Japanese begins, as in `https://example.com。`. */
    url(text) {
      const ascii = /^[\x21-\x7e]+/.exec(text)?.[0] ?? "";
      return Tokenizer.prototype.url.call(this, ascii);
    },
  },
  renderer: {
    html: ({ text }) => (/^<br\s*\/?>$/i.test(text) ? "<br>" : escaped(text)),
    image: ({ text, href }) => escaped(text || href),
    code: ({ text, lang }) => `<pre><code class="hljs">${highlighted(text, lang?.split(/\s/)[0] ?? "")}</code></pre>`,
    link({ href, tokens }) {
      const words = this.parser.parseInline(tokens);
      return LINK.test(href) ? `<a href="${escaped(href)}">${words}</a>` : words;
    },
  },
});

function highlighted(code, language) {
  if (!hljs.getLanguage(language) || code.length > LONGEST_HIGHLIGHTED) return escaped(code);
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

/** What `work` makes of Markdown, or `otherwise()` where that nests deeper than the stack, as a model's `>>>>…` can. */
function unlessTooDeep(work, otherwise) {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return otherwise();
  }
}

const asWritten = (text) => ({ type: "code", raw: text, text });
const tokensOf = (text) => unlessTooDeep(() => markdown.lexer(text), () => Object.assign([asWritten(text)], { links: {} }));

function elementsOf(token, links) {
  const sanitized = (shown) => DOMPurify.sanitize(markdown.parser(Object.assign([shown], { links })), ALLOWED);
  return unlessTooDeep(() => sanitized(token), () => sanitized(asWritten(token.raw)));
}

/** What Markdown says, without its marks. */
export function plainWords(text) {
  const tokens = tokensOf(text);
  return tokens.map((token) => wordsOf(elementsOf(token, tokens.links))).join(" ").trim();
}

function wordsOf(elements) {
  elements.querySelectorAll("br").forEach((each) => each.replaceWith(" "));
  return elements.textContent;
}

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/**
 * Shows `text` in `root`, block by block: what has not changed since the last time stays as it is, with the reader's
 * selection in it. `finish` gets each new block, once.
 */
export class MarkdownView {
  #blocks = [];

  constructor(root, finish) {
    this.root = root;
    this.finish = finish;
  }

  show(text) {
    const tokens = tokensOf(text);
    const { links } = tokens;
    const defined = JSON.stringify(links);
    const blocks = tokens.filter((token) => token.type !== "space" && token.type !== "def");
    let same = 0;
    while (same < blocks.length && this.#blocks[same]?.raw === blocks[same].raw && this.#blocks[same].defined === defined) same++;
    for (const block of this.#blocks.splice(same)) block.node.remove();
    for (const token of blocks.slice(same)) {
      const node = document.createElement("div");
      node.className = "block";
      node.append(elementsOf(token, links));
      this.finish(node);
      this.#blocks.push({ raw: token.raw, defined, node });
      this.root.append(node);
    }
  }
}
