// Runs the model of this folder with wllama (llama.cpp compiled for browsers) and shows a conversation with it.
import { Wllama } from "./wllama/wllama.js";

const element = (id) => document.getElementById(id);
const settings = await (await fetch("settings.json")).json();
const texts = settings.texts;
const wllama = new Wllama({ default: new URL("wllama/wllama.wasm", location.href).href });
let messages = [];
let stopping = null;

function showTexts() {
  document.documentElement.lang = settings.language;
  document.title = settings.title;
  element("title").textContent = settings.title;
  element("base").textContent = texts.base;
  element("note").textContent = texts.note;
  element("question-label").textContent = settings.is_chat ? texts.question : texts.text;
  for (const name of ["send", "stop", "clear"]) element(name).textContent = texts[name];
}

function fill(text, name, value) {
  return text.replace(`{${name}}`, () => value);
}

async function load() {
  element("progress").hidden = false;
  await wllama.loadModelFromUrl(new URL(settings.model, location.href).href, {
    n_ctx: settings.context,
    progressCallback: ({ loaded, total }) => {
      const percent = total ? Math.floor((100 * loaded) / total) : 0;
      element("progress").value = percent;
      element("status").textContent = percent < 100 ? fill(texts.loading, "percent", percent) : texts.starting;
    },
  });
  element("progress").hidden = true;
  element("status").textContent = "";
  element("question").disabled = element("send").disabled = false;
  element("question").focus();
}

function addTurn(kind) {
  const turn = document.createElement("li");
  turn.className = kind;
  const name = document.createElement("b");
  name.textContent = texts[kind];
  const body = document.createElement("span");
  turn.append(name, body);
  element("conversation").append(turn);
  return body;
}

function setBusy(isBusy) {
  element("send").disabled = isBusy;
  element("stop").hidden = !isBusy;
  element("clear").hidden = isBusy || !element("conversation").children.length;
}

async function* stream(question, signal) {
  const options = { max_tokens: settings.max_tokens, temperature: 0, stream: true, abortSignal: signal };
  if (!settings.is_chat) {
    for await (const chunk of await wllama.createCompletion({ prompt: question, ...options })) yield chunk.choices[0]?.text ?? "";
    return;
  }
  const system = settings.system ? [{ role: "system", content: settings.system }] : [];
  messages.push({ role: "user", content: question });
  for await (const chunk of await wllama.createChatCompletion({ messages: [...system, ...messages], ...options })) {
    yield chunk.choices[0]?.delta?.content ?? "";
  }
}

async function ask(question) {
  addTurn("you").textContent = question;
  const body = addTurn("model");
  setBusy(true);
  stopping = new AbortController();
  try {
    for await (const piece of stream(question, stopping.signal)) body.textContent += piece;
  } catch (error) {
    if (!stopping.signal.aborted) element("status").textContent = String(error.message ?? error);
  }
  if (settings.is_chat) messages.push({ role: "assistant", content: body.textContent });
  setBusy(false);
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = element("question").value.trim();
  if (!question || element("send").disabled) return;
  element("question").value = "";
  ask(question);
});
element("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    element("form").requestSubmit();
  }
});
element("stop").addEventListener("click", () => stopping?.abort());
element("clear").addEventListener("click", () => {
  messages = [];
  element("conversation").replaceChildren();
  setBusy(false);
  element("question").focus();
});

showTexts();
try {
  await load();
} catch (error) {
  element("progress").hidden = true;
  element("status").textContent = fill(texts.failed, "why", String(error.message ?? error));
}
