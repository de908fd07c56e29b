// A conversation as a file, and back.

import { parts } from "./answer.js";
import { Conversation, newId } from "./conversation.js";
import { element } from "./dom.js";
import { conversationOf } from "./openai_messages.js";
import { known } from "./settings.js";
import { say } from "./words.js";

const VERSION = 1;
const MOST_BYTES = 32 << 20;

/** All of a conversation, versions too, as JSON. */
export function asJson(conversation) {
  const { id, nodes, ...rest } = conversation.record;
  return JSON.stringify({ shosei_conversation: VERSION, ...rest, nodes: Object.values(nodes).map(({ wait, ...node }) => node) }, null, 2);
}

/** What is shown of a conversation, as Markdown. */
export function asMarkdown(conversation) {
  const { system } = conversation.settings;
  const turns = conversation.path.map((node) => `## ${say(node.role === "user" ? "you" : "model")}\n\n${parts(node).words}`);
  return [`# ${conversation.record.title}`, ...(system ? [`> ${system.replaceAll("\n", "\n> ")}`] : []), ...turns, ""].join("\n\n");
}

/** Give the reader a file. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address));
}

/** A name that every system takes. */
export function fileName(conversation, ending) {
  const title = conversation.record.title.replace(/[\\/:*?"<>|\u0000-\u001f]/g, " ").trim().slice(0, 40);
  return `${title || "shosei"}.${ending}`;
}

/**
 * A conversation out of a file: of this page's, or messages as OpenAI's API has them. It gets ids of its own, and of
 * what is foreign in it nothing is taken. Throws Error with words for the reader.
 */
export async function imported(file) {
  if (file.size > MOST_BYTES) throw new Error(say("import_large"));
  let data;
  try {
    data = JSON.parse(await file.text());
  } catch {
    throw new Error(say("import_no_json"));
  }
  if (data?.shosei_conversation === VERSION && Array.isArray(data.nodes)) return ofTree(data);
  const messages = Array.isArray(data) ? data : data?.messages;
  const conversation = Array.isArray(messages) ? conversationOf(messages) : null;
  if (!conversation) throw new Error(say("import_unknown"));
  return conversation;
}

function ofTree(data) {
  const conversation = Conversation.begin(known(data.settings));
  const ids = new Map([["", ""]]);
  for (const node of data.nodes) ids.set(String(node?.id), newId());
  for (const node of data.nodes) {
    if (!isMessage(node) || !ids.has(node.parent)) throw new Error(say("import_unknown"));
    const id = ids.get(String(node.id));
    const texts = { content: node.content, thoughts: text(node.thoughts), answer: text(node.answer), model: text(node.model) };
    const calls = (Array.isArray(node.calls) ? node.calls : []).map(callOf);
    const created = Number(node.created) || Date.now();
    const state = ["done", "stopped", "cut"].includes(node.state) ? node.state : "done";
    conversation.record.nodes[id] = { id, parent: ids.get(node.parent), role: node.role, ...texts, calls, state, created, changed: created };
  }
  for (const [parent, child] of Object.entries(data.chosen ?? {})) {
    const node = conversation.node(ids.get(child));
    // Only a message's own child: any other could make a ring without an end.
    if (ids.has(parent) && node?.parent === ids.get(parent)) conversation.record.chosen[node.parent] = node.id;
  }
  if (!conversation.path.length) throw new Error(say("import_unknown")); // in a ring no message is the first
  conversation.record.title = text(data.title).slice(0, 200);
  return conversation;
}

function isMessage(node) {
  return ["user", "assistant"].includes(node?.role) && typeof node.content === "string";
}

function callOf(call) {
  const result = text(call?.result);
  return { name: text(call?.name), arguments: text(call?.arguments), ...(result && { result }) };
}

function text(value) {
  return typeof value === "string" ? value : "";
}
