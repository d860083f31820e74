// Carepost in the browser: conveniences on top of pages that work without them.
//
// Promises
//   Every page works without this file: it opens messages in the reading pane, adds keys, and keeps counts fresh.
//   Nothing is built from strings: what comes from the server is a page's own fragment, put in by the browser's parser.
//   Nothing is stored on the device.

const body = document.body;
const reading = document.getElementById("reading");
const lines = document.querySelector(".lines");
const announcer = document.getElementById("announcer");
const COUNTS_EVERY = 30_000; // milliseconds between two looks at the counts, while the page can be seen

const say = (words) => { if (announcer) announcer.textContent = words; };
const all = (selector) => [...document.querySelectorAll(selector)];
const isWide = () => matchMedia("(min-width: 700px)").matches;

// ---- Opening a message in the reading pane -------------------------------------------------------------------------

let asked = 0;
let shown = location.pathname; // a skip link changes the fragment only, and must not load anything anew

async function open(href, { push = true, focus = false } = {}) {
  const mine = ++asked;
  let answer;
  try {
    answer = await fetch(href, { headers: { "X-Carepost-Part": "letter" }, redirect: "error" });
  } catch {
    location.assign(href); // the network, or a session that has ended: let the whole page tell
    return;
  }
  if (!answer.ok) { location.assign(href); return; }
  const fragment = await answer.text();
  if (mine !== asked) return; // a later click has overtaken this one
  const page = new DOMParser().parseFromString(fragment, "text/html");
  reading.replaceChildren(...page.body.childNodes);
  if (push) history.pushState({ href }, "", href);
  shown = new URL(href, location.href).pathname;
  mark(href);
  const subject = reading.querySelector(".letter-subject");
  document.title = document.title.replace(/^.*? – /, `${subject?.textContent ?? "Message"} – `);
  say(`Opened: ${subject?.textContent ?? "message"}`);
  reading.querySelector(".scroll")?.scrollTo(0, 0);
  if (focus) reading.focus();
  refresh();
}

function mark(href) {
  const path = new URL(href, location.href).pathname;
  for (const line of all(".line")) {
    const link = line.querySelector(".line-words");
    const isOpen = new URL(link.href).pathname === path;
    line.classList.toggle("open", isOpen);
    if (isOpen) {
      line.classList.remove("unread");
      line.querySelector(".line-sender .out-of-sight")?.remove();
      link.setAttribute("aria-current", "true");
      line.scrollIntoView({ block: "nearest" });
    } else {
      link.removeAttribute("aria-current");
    }
  }
}

if (lines && reading) {
  lines.addEventListener("click", (event) => {
    const link = event.target.closest("a.line-words");
    if (!link || link.pathname.startsWith("/write/") || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || !isWide()) return;
    event.preventDefault();
    open(link.href);
  });
  addEventListener("popstate", (event) => {
    if (event.state?.href) open(event.state.href, { push: false });
    else if (location.pathname !== shown) location.reload();
  });
}

// ---- Choosing messages ---------------------------------------------------------------------------------------------

if (lines) {
  lines.addEventListener("change", () => {
    const chosen = all(".line-face input:checked").length;
    lines.classList.toggle("picking", chosen > 0);
    say(chosen ? `${chosen} chosen` : "Nothing chosen");
  });
}

// ---- Keys (WCAG 2.1.4: they can be switched off; body[data-keyboard] says so) --------------------------------------

function current() {
  return document.activeElement?.closest(".line") ?? document.querySelector(".line.open");
}

function step(by) {
  const every = all(".line");
  if (!every.length) return;
  const at = every.indexOf(current());
  const next = every[Math.min(Math.max(at + by, 0), every.length - 1)];
  const link = next.querySelector("a.line-words");
  link.focus();
  if (reading?.querySelector(".letter") && isWide()) open(link.href, { push: false });
}

function press(key) {
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!button) return false;
  if (button instanceof HTMLAnchorElement) { button.click(); return true; }
  button.form.requestSubmit(button);
  return true;
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  x: () => current()?.querySelector("input[type=checkbox]")?.click(),
  c: () => press("c"),
  r: () => press("r"),
  a: () => press("a"),
  f: () => press("f"),
  u: () => press("u"),
  s: () => press("s"),
  e: () => press("e"),
  "#": () => press("#"),
  "/": () => document.getElementById("q")?.focus(),
  "?": () => document.getElementById("keys")?.showModal(),
};

if (body.dataset.keyboard === "on") {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable], dialog")) return;
    const deed = KEYS[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
}

// ---- Fresh counts --------------------------------------------------------------------------------------------------

let stamp = "";

async function refresh() {
  const at = body.dataset.counts;
  if (!at || document.hidden) return;
  let answer;
  try {
    answer = await fetch(at, { headers: stamp ? { "If-None-Match": stamp } : {}, redirect: "error" });
  } catch { return; } // offline, or signed out: the next page will tell
  if (answer.status !== 200) return;
  const before = stamp;
  stamp = answer.headers.get("etag") ?? "";
  const { unread } = await answer.json();
  let more = 0;
  for (const [folder, count] of Object.entries(unread)) {
    const place = document.querySelector(`[data-folder="${CSS.escape(folder)}"]`);
    if (!place) continue;
    const had = Number.parseInt(place.textContent, 10) || 0;
    more += Math.max(count - had, 0);
    place.firstChild.data = count ? String(count) : "";
    place.hidden = count === 0;
  }
  if (before && more) say(more === 1 ? "1 new message" : `${more} new messages`);
}

if (body.dataset.counts) {
  setInterval(refresh, COUNTS_EVERY);
  document.addEventListener("visibilitychange", refresh);
}

// ---- The problem summary is read first -----------------------------------------------------------------------------

document.getElementById("summary")?.focus();
