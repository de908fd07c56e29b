// A list of messages as OpenAI's API has them, read into a conversation.

import { Conversation } from "./conversation.js";
import { known } from "./settings.js";

const SYSTEM = ["system", "developer"];

/** The conversation of `messages`; null where they are none. A tool's result goes to the call that it is of. */
export function conversationOf(messages) {
  if (!messages.every(isMessage)) return null;
  const system = messages.filter(({ role }) => SYSTEM.includes(role)).map(({ content }) => words(content));
  const conversation = Conversation.begin(known({ system: system.join("\n\n") }));
  const calls = new Map(); // by id
  let parent = "";
  for (const message of messages) {
    if (message.role === "user") parent = conversation.add(parent, "user", { content: words(message.content) }).id;
    if (message.role === "assistant") parent = conversation.add(parent, "assistant", answer(message, calls)).id;
    if (message.role !== "tool") continue;
    if (!calls.has(message.tool_call_id)) return null;
    calls.get(message.tool_call_id).result = words(message.content);
  }
  return conversation.isEmpty ? null : conversation;
}

function isMessage(message) {
  const { role, content } = message ?? {};
  if (role === "assistant") return isContent(content ?? "") && (message.tool_calls ?? []).every?.(isCall);
  return ["user", "tool", ...SYSTEM].includes(role) && isContent(content);
}

function isContent(content) {
  return typeof content === "string" || (Array.isArray(content) && content.every((part) => typeof part?.type === "string"));
}

function isCall(call) {
  return typeof call?.function?.name === "string" && typeof call.function.arguments === "string";
}

function answer(message, calls) {
  const made = (message.tool_calls ?? []).map(({ id, function: { name, arguments: given } }) => {
    const call = { name, arguments: given };
    calls.set(id, call);
    return call;
  });
  const thoughts = message.reasoning_content ?? message.reasoning;
  return { content: words(message.content ?? message.refusal ?? ""), thoughts: typeof thoughts === "string" ? thoughts : "", calls: made };
}

/** The text of a message's content. What is no text, such as a picture, is named by its type. */
function words(content) {
  if (!Array.isArray(content)) return String(content);
  return content.map((part) => part.text ?? part.refusal ?? `[${part.type}]`).join("\n");
}
