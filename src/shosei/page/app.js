// The page: puts its parts together.

import { Api } from "./api.js";
import { Banner } from "./banner.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { askKey, openSettings } from "./dialogs.js";
import { iconButton } from "./dom.js";
import { Drawer } from "./drawer.js";
import { History } from "./history.js";
import { OpenedConversations } from "./opened.js";
import { Outbox } from "./outbox.js";
import { Problem } from "./problem.js";
import { keepSettings, lastSettings } from "./settings.js";
import { Store } from "./store.js";
import { Survey } from "./survey.js";
import { asJson, asMarkdown, download, fileName, imported } from "./transfer.js";
import { Transcript } from "./transcript.js";
import { nameOf, welcome } from "./welcome.js";
import { preferredLanguage, say, speak } from "./words.js";

const $ = (id) => document.getElementById(id);

class App {
  constructor(api, store, connection, banner, about, models) {
    Object.assign(this, { api, store, banner, about, models });
    this.model = about.model || models[0] || "";
    this.outbox = new Outbox(api, store.outbox);
    this.chat = new Chat(api, store, connection, (problem) => this.#askKey(problem), this.model);
    this.opened = new OpenedConversations(store, this.chat, (id) => this.#changedElsewhere(id));
    this.drawer = new Drawer($("history"), $("veil"));
    this.composer = new Composer($("composer"), (text) => this.#ask(text), () => this.#stop());
    this.history = new History($("history"), store, { open: (id) => this.#go(id), begin: () => this.#begin(), removed: (id) => this.opened.forget(id) });
    this.survey = new Survey($("survey"), about.ratings, this.outbox);
    const act = (does) => (node) => does(this.conversation, node);
    this.transcript = new Transcript($("messages"), $("scroller"), {
      again: act((conversation, node) => (this.chat.again(conversation, conversation.node(node.parent)), this.#show())),
      retry: act((conversation, node) => this.chat.retry(conversation, node)),
      goOn: act((conversation, node) => this.chat.goOn(conversation, node)),
      edit: (node, text) => this.#askBelow(node.parent, text),
      choose: act((conversation, node) => (conversation.choose(node), store.keep(conversation.record), this.#show())),
    }, about.ratings && { form: about.ratings, state: (id) => this.outbox.state(id), send: (node, body) => this.#rate(node, body) }, (node) => this.chat.isRunning(node));
  }

  async start() {
    this.draw();
    this.chat.addEventListener("change", ({ detail }) => this.#answering(detail));
    this.outbox.addEventListener("change", ({ detail }) => this.#rated(detail));
    this.store.addEventListener("change", ({ detail }) => this.#changedElsewhere(detail));
    addEventListener("hashchange", () => this.#openHash());
    addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open]") && this.#escape());
    const showBelow = () => ($("below").hidden = this.transcript.isAtEnd);
    $("scroller").addEventListener("scroll", showBelow, { passive: true });
    new ResizeObserver(showBelow).observe($("messages")); // what no longer fills the screen is scrolled no more
    setInterval(() => this.#tick(), 1000);
    await this.#openHash();
    this.outbox.flush();
    this.composer.focus();
  }

  /** Draw all that has words, in the language of the page. */
  draw() {
    document.querySelectorAll("[data-say]").forEach((each) => (each.textContent = say(each.dataset.say)));
    document.querySelectorAll("[data-label]").forEach((each) => each.setAttribute("aria-label", say(each.dataset.label)));
    $("left").replaceChildren(this.drawer.button(), iconButton("write", say("new_conversation"), () => this.#begin()));
    $("right").replaceChildren(iconButton("settings", say("settings"), () => this.#settings()));
    $("below").replaceChildren(iconButton("below", say("to_end"), () => this.transcript.toEnd()));
    this.composer.draw();
    this.history.draw();
    this.banner.draw();
    if (this.conversation) this.#show(true);
  }

  async #openHash() {
    const id = location.hash.slice(1);
    this.conversation = (id && (await this.opened.read(id))) || Conversation.begin(lastSettings(this.about));
    this.composer.open(this.conversation.isEmpty ? "" : this.conversation.id);
    this.drawer.fold();
    this.#show(true);
  }

  #go(id) {
    if (location.hash.slice(1) === id) this.drawer.fold();
    else location.hash = id;
  }

  #begin() {
    history.pushState(null, "", location.pathname + location.search);
    return this.#openHash().then(() => this.composer.focus());
  }

  #show(anew = false) {
    const { conversation } = this;
    const { isEmpty } = conversation;
    document.title = conversation.record.title ? `${conversation.record.title} · Shosei 書生` : `${nameOf(this.model)} · Shosei 書生`;
    $("title").textContent = conversation.record.title || "Shosei 書生";
    $("first").replaceChildren(...(isEmpty ? [welcome(this.about, this.model, (text) => this.#ask(text))] : []));
    this.transcript.show(conversation, anew);
    this.#showRunning();
    this.history.refresh(conversation.id);
  }

  #showRunning() {
    this.composer.setRunning(this.conversation.path.some((node) => this.chat.isRunning(node)));
  }

  #ask(text) {
    return this.#askBelow(this.conversation.path.at(-1)?.id ?? "", text);
  }

  async #askBelow(parent, text) {
    const { conversation } = this;
    const isFirst = conversation.isEmpty;
    this.opened.add(conversation);
    await this.chat.ask(conversation, parent, text);
    if (isFirst) {
      history.pushState(null, "", `#${conversation.id}`);
      this.composer.place = conversation.id;
    }
    this.#show();
    this.transcript.toEnd();
  }

  #stop() {
    for (const node of this.conversation.path) this.chat.stop(node);
  }

  #answering({ conversation, node }) {
    const running = this.chat.isRunning(node);
    if (conversation === this.conversation) {
      if (running && this.transcript.view(node)) this.transcript.refresh(node);
      else this.#show();
      if (!running) this.#tell(node);
    }
    if (!running && node.state === "done" && node.answer) this.survey.count(node.answer);
  }

  /** Say to a screen reader, once, what a reader sees grow. */
  #tell(node) {
    const view = this.transcript.view(node);
    $("live").lang = view?.language ?? "";
    $("live").textContent = node.problem ? new Problem(node.problem.kind, node.problem.detail).words : (view?.body.textContent ?? "");
  }

  #rate(node, body) {
    const { conversation } = this;
    conversation.touch(node);
    this.store.keep(conversation.record);
    this.outbox.add(node.answer, "v1/feedback", body, { conversation: conversation.id, node: node.id });
  }

  async #rated({ id, place }) {
    if (!place) return;
    const conversation = await this.opened.find(place.conversation);
    const node = conversation?.node(place.node);
    if (!node?.rating) return;
    if (this.outbox.state(id).state === "saved") {
      node.rating.saved = true;
      conversation.touch(node);
      await this.store.keep(conversation.record);
    }
    if (conversation === this.conversation) this.transcript.refresh(node);
  }

  async #changedElsewhere(id) {
    if (!this.opened.has(id)) return;
    const conversation = await this.opened.read(id);
    if (!conversation) this.opened.forget(id);
    if (id !== this.conversation.id) return;
    if (conversation) this.#show();
    else this.#begin();
  }

  #tick() {
    for (const node of this.conversation?.path ?? []) {
      const isWaiting = node.wait || this.outbox.state(node.answer)?.state === "waiting";
      if (isWaiting) this.transcript.refresh(node);
    }
  }

  async #askKey(problem) {
    const key = await askKey(problem.kind === "key" && this.api.key !== "");
    if (key) this.api.useKey(key);
    return key !== "";
  }

  #settings() {
    const { conversation } = this;
    openSettings({ settings: conversation.settings, models: this.models, about: this.about, isEmpty: conversation.isEmpty }, {
      changed: (settings) => {
        keepSettings(settings);
        conversation.record.changed = Date.now();
        if (!conversation.isEmpty) this.store.keep(conversation.record);
      },
      spoken: () => this.draw(),
      exportJson: () => download(fileName(conversation, "json"), "application/json", asJson(conversation)),
      exportMarkdown: () => download(fileName(conversation, "md"), "text/markdown", asMarkdown(conversation)),
      importFile: (file) => this.#import(file),
      removeAll: () => this.#removeAll(),
      forgetKey: this.api.key ? () => this.api.useKey("") : null,
    });
  }

  async #import(file) {
    try {
      const conversation = await imported(file);
      await this.store.keep(conversation.record, true);
      this.banner.draw(); // an earlier file's trouble is over
      this.#go(conversation.id);
    } catch (error) {
      this.banner.tell(error.message);
    }
  }

  async #removeAll() {
    for (const { id } of await this.store.records()) {
      this.opened.forget(id);
      await this.store.remove(id);
    }
    await this.#begin();
  }

  #escape() {
    if (this.drawer.isUnfolded) this.drawer.fold();
    else this.#stop();
  }
}

/** What the host says, once it says it: after a key, if it wants one, and after a while, if it is not there. */
async function toldBy(api, connection, ask) {
  for (;;) {
    try {
      return await ask();
    } catch (problem) {
      if (problem.kind === "key") api.useKey(await askKey(api.key !== ""));
      else if (["gone", "busy", "upstream"].includes(problem.kind)) await connection.back();
      else throw problem;
    }
  }
}

async function start() {
  await speak(preferredLanguage());
  const api = new Api();
  const connection = new Connection(api);
  const banner = new Banner($("banner"), connection);
  const about = await toldBy(api, connection, () => api.about());
  const models = await api.models().catch(() => []); // the page asks the one that the host named
  const store = await Store.open();
  banner.keeps(store.lasting);
  store.addEventListener("lasting", () => banner.keeps(store.lasting));
  await new App(api, store, connection, banner, about, models).start();
  document.body.classList.add("ready");
}

start().catch((error) => {
  $("banner").hidden = false;
  $("banner").textContent = error instanceof Problem ? error.words : String(error);
  throw error;
});
