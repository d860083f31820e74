// Writing a message in the browser: conveniences on top of a form that works without them.
//
// Promises
//   The form is the truth: whatever this does ends in its fields, and Send is the form's own button.
//   What is typed is saved as a draft by itself, some seconds after the last key, and when the field is left.
//   Nobody is chosen for the writer: a suggestion is taken by Enter, Tab on it, or a click, never by itself.
//   Nothing is built from strings of the server's, and nothing is stored on the device.

const form = document.getElementById("compose");
const saved = document.getElementById("saved");
const text = document.getElementById("text");
const html = document.getElementById("html");
const SAVE_AFTER = 5_000; // milliseconds of quiet
const SUGGEST_AFTER = 150;
const make = (tag, attributes = {}, words = "") => {
  const node = Object.assign(document.createElement(tag), attributes);
  if (words) node.textContent = words;
  return node;
};

// ---- Saving by itself ----------------------------------------------------------------------------------------------

let timer = 0;
let changed = false;
let leaving = false;
let saving = Promise.resolve();

function later() {
  changed = true;
  clearTimeout(timer);
  timer = setTimeout(save, SAVE_AFTER);
}

function save() {
  saving = saving.then(async () => {
    if (!changed || leaving) return;
    changed = false;
    lay();
    const data = new FormData(form);
    data.delete("files"); // files go with a button, so that they travel once
    data.set("do", "save");
    let answer;
    try {
      answer = await fetch(form.action, { method: "POST", body: data, headers: { "X-Carepost-Part": "saved" }, redirect: "error" });
    } catch {
      changed = true;
      saved.textContent = "Not saved: the connection is away. It is tried again.";
      timer = setTimeout(save, SAVE_AFTER);
      return;
    }
    if (!answer.ok) { saved.textContent = "Not saved. Copy your text to be safe, and load the page again."; return; }
    const { uid, says, not_urgent } = await answer.json();
    form.elements.draft.value = uid;
    const urgent = document.getElementById("not-urgent");
    if (urgent.textContent !== not_urgent) urgent.textContent = not_urgent;
    urgent.hidden = !not_urgent;
    saved.textContent = `${says}.`;
  });
  return saving;
}

form.addEventListener("input", later);
form.addEventListener("focusout", () => { if (changed) { clearTimeout(timer); timer = setTimeout(save, 500); } });
let pressed = false;
form.addEventListener("submit", (event) => {
  // A save that is on its way changes the draft's number: the form waits for it, and is sent once.
  if (pressed) { event.preventDefault(); return; }
  const button = event.submitter;
  event.preventDefault();
  pressed = true;
  clearTimeout(timer);
  saving.then(() => {
    leaving = true;
    lay();
    const choice = make("input", { type: "hidden", name: button?.name ?? "do", value: button?.value ?? "save" });
    form.append(choice);
    form.submit();
  });
});
addEventListener("pageshow", () => { pressed = leaving = false; });
addEventListener("beforeunload", (event) => { if (changed && !leaving) event.preventDefault(); });
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) document.getElementById("send").click();
});

// ---- Suggesting recipients (a listbox by the pattern of WAI-ARIA) --------------------------------------------------

for (const field of form.querySelectorAll("textarea.people")) suggesting(field);

function suggesting(field) {
  const list = make("ul", { id: `${field.id}-list`, className: "suggestions", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  field.after(list);
  // A field of several lines may not be called a combobox: what is suggested is said by `told` as well.
  const told = make("span", { className: "out-of-sight" });
  told.setAttribute("role", "status");
  list.after(told);
  for (const [name, value] of [["aria-autocomplete", "list"], ["aria-haspopup", "listbox"], ["aria-controls", list.id]]) field.setAttribute(name, value);
  let asked = 0;
  let wait = 0;

  const word = () => field.value.slice(0, field.selectionStart).split(/[,;\n]/).pop().trim();
  const close = () => { list.hidden = true; list.replaceChildren(); told.textContent = ""; field.removeAttribute("aria-activedescendant"); };
  const grow = () => { field.style.height = "auto"; field.style.height = `${field.scrollHeight + 4}px`; };

  async function ask() {
    const typed = word();
    if (typed.length < 2) { close(); return; }
    const mine = ++asked;
    let found = [];
    try {
      const answer = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(typed)}`, { redirect: "error" });
      if (answer.ok) found = await answer.json();
    } catch { /* no suggestions, then */ }
    if (mine !== asked) return;
    list.replaceChildren(...found.map(line));
    list.hidden = !found.length;
    told.textContent = found.length ? `${found.length} ${found.length === 1 ? "suggestion" : "suggestions"}: go through them with the arrow keys, take one with Enter.` : "";
    field.removeAttribute("aria-activedescendant");
  }

  function line(one, number) {
    const item = make("li", { id: `${list.id}-${number}` });
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.append(
      make("strong", {}, one.name || one.address),
      make("span", { className: `chip chip-${one.chip}` }, one.chip),
      make("span", { className: "hint" }, [one.name ? one.address : "", one.role, one.organisation, one.warning].filter(Boolean).join(" · ")),
    );
    item.dataset.address = one.name ? `"${one.name.replaceAll(/["\\]/g, "")}" <${one.address}>` : one.address;
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(item); });
    return item;
  }

  function take(item) {
    const before = field.value.slice(0, field.selectionStart);
    const after = field.value.slice(field.selectionStart).replace(/^[^,;\n]*[,;\n]?\s*/, "");
    const kept = before.slice(0, before.length - before.split(/[,;\n]/).pop().length);
    field.value = `${kept}${kept && !kept.endsWith(" ") ? " " : ""}${item.dataset.address}, ${after}`;
    close();
    grow();
    later();
    field.focus();
  }

  function step(by) {
    const items = [...list.children];
    if (!items.length) return;
    const at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
    const next = items[(at + by + items.length + (at < 0 && by < 0 ? 1 : 0)) % items.length];
    for (const item of items) item.setAttribute("aria-selected", String(item === next));
    field.setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
  }

  field.addEventListener("input", () => { grow(); clearTimeout(wait); wait = setTimeout(ask, SUGGEST_AFTER); });
  field.addEventListener("blur", close);
  field.addEventListener("keydown", (event) => {
    const chosen = list.querySelector("[aria-selected=true]");
    if (event.key === "ArrowDown" && !list.hidden) { event.preventDefault(); step(1); }
    else if (event.key === "ArrowUp" && !list.hidden) { event.preventDefault(); step(-1); }
    else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); close(); }
    else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); if (chosen) take(chosen); }
    else if (event.key === "Tab" && chosen) { event.preventDefault(); take(chosen); }
  });
  grow();
}

// ---- How readers prove who they are: typing the words chooses them ---------------------------------------------------

for (const [name, proof] of [["phrase", "phrase"], ["birth", "birth"], ["telephone", "text"]]) {
  document.getElementById(name)?.addEventListener("input", () => { document.getElementById(`proof-${proof}`).checked = true; });
}

// ---- Files by dropping and pasting ---------------------------------------------------------------------------------

const files = document.getElementById("files");
const attach = form.querySelector("button[value=attach]");
function add(list) {
  if (!list.length) return;
  const all = new DataTransfer();
  for (const file of [...files.files, ...list]) all.items.add(file);
  files.files = all.files;
  attach.click();
}
files.addEventListener("change", () => attach.click());
addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
addEventListener("drop", (event) => { if (event.dataTransfer?.files.length) { event.preventDefault(); add(event.dataTransfer.files); } });
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) { event.preventDefault(); add(event.clipboardData.files); } });

// ---- Laid-out text -------------------------------------------------------------------------------------------------

let editor = null;

function lay() {
  if (!editor) return;
  html.value = editor.getHTML();
  document.getElementById("laid").value = "yes";
  text.value = editor.getRoot().innerText.replaceAll("\u00a0", " ");
}

// Only what the browser's own parser makes of it, without anything that acts or fetches; the server cleans it again.
function inert(source) {
  const page = new DOMParser().parseFromString(source, "text/html");
  for (const node of page.querySelectorAll("script,style,iframe,object,embed,link,meta,form,img,svg,math,base")) node.remove();
  for (const node of page.querySelectorAll("*")) {
    for (const { name } of [...node.attributes]) if (name !== "href" || !/^(https?|mailto|tel):/i.test(node.getAttribute("href"))) node.removeAttribute(name);
  }
  const fragment = document.createDocumentFragment();
  fragment.append(...page.body.childNodes);
  return document.importNode(fragment, true);
}

// Plain text as the editor has it: a line in each block; spaces that a browser would leave out stay.
function inLines(words) {
  const page = make("div");
  for (const line of words.split("\n")) {
    const block = make("div", {}, line.replaceAll("  ", " \u00a0").replace(/^ | $/g, "\u00a0"));
    if (!line) block.append(make("br"));
    page.append(block);
  }
  return page.innerHTML;
}

async function layOut() {
  const { default: Squire } = await import(document.querySelector("script[data-editor]").dataset.editor);
  const pane = make("div", { id: "editor", className: "input letter-text editor" });
  for (const [name, value] of [["role", "textbox"], ["aria-multiline", "true"], ["aria-labelledby", "text-label"]]) pane.setAttribute(name, value);
  text.before(pane);
  text.hidden = true;
  editor = new Squire(pane, { blockTag: "div", sanitizeToDOMFragment: inert });
  editor.setHTML(html.value || inLines(text.value));
  editor.moveCursorToStart();
  editor.addEventListener("input", later);
  const tools = make("div", { className: "editor-tools" });
  tools.setAttribute("role", "toolbar");
  tools.setAttribute("aria-label", "Layout of the text");
  const deeds = [
    ["Bold", () => (editor.hasFormat("B") ? editor.removeBold() : editor.bold())],
    ["Italic", () => (editor.hasFormat("I") ? editor.removeItalic() : editor.italic())],
    ["List", () => (editor.hasFormat("UL") ? editor.removeList() : editor.makeUnorderedList())],
    ["Numbered list", () => (editor.hasFormat("OL") ? editor.removeList() : editor.makeOrderedList())],
    ["Plain text", plain],
  ];
  for (const [words, deed] of deeds) {
    const button = make("button", { type: "button", className: "tool" }, words);
    button.addEventListener("click", () => { deed(); editor?.focus(); later(); });
    tools.append(button);
  }
  pane.before(tools);
  toggle.hidden = true;
}

function plain() {
  lay();
  html.value = "";
  document.getElementById("editor").remove();
  form.querySelector(".editor-tools").remove();
  editor.destroy();
  editor = null;
  text.hidden = false;
  toggle.hidden = false;
  text.focus();
}

const toggle = make("button", { type: "button", className: "tool" }, "Lay out the text");
toggle.addEventListener("click", () => layOut().then(() => editor.focus()));
text.before(toggle);
if (html.value) layOut();
document.getElementById("summary")?.focus();
