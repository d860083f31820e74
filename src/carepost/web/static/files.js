// Files too large for email: uploaded in parts while somebody writes.
//
// Promises
//   What breaks off goes on by itself where it stopped; in a page that was closed, when the same file is chosen again.
//   The same file is known by its name, its size, and a hash of its beginning and end: another one is never mixed in.
//   The form is the truth: each file stands in it as a hidden field, and the draft is saved with it at once.
//   Nothing is stored on the device.

const box = document.getElementById("large-files");
const list = document.getElementById("large-list");
const said = document.getElementById("large-said");
const form = document.getElementById("compose");
const chosen = document.getElementById("files");
const over = () => Number(box.dataset.over); // what email carries
const most = Number(box.dataset.most);
const PART = 4 << 20; // octets of one request
const EDGE = 1 << 16; // octets at either end that are hashed
const WAITS = [1, 2, 4, 8, 15, 30]; // seconds between tries
const proof = { "X-Carepost-Proof": box.dataset.proof };

const make = (tag, attributes = {}, words = "") => {
  const node = Object.assign(document.createElement(tag), attributes);
  if (words) node.textContent = words;
  return node;
};
const quiet = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

// ---- Which files are ours ------------------------------------------------------------------------------------------

function part(files) {
  const all = [...files];
  return [all.filter((file) => file.size > over()), all.filter((file) => file.size <= over())];
}

function give(files) {
  const rest = new DataTransfer();
  for (const file of files) rest.items.add(file);
  chosen.files = rest.files;
}

// Before the page's own script, which sends the form with what was chosen.
document.addEventListener("change", (event) => {
  if (event.target !== chosen) return;
  const [large, small] = part(chosen.files);
  if (!large.length) return;
  give(small);
  if (!small.length) event.stopImmediatePropagation();
  for (const file of large) take(file);
}, true);

for (const [kind, held] of [["drop", (event) => event.dataTransfer], ["paste", (event) => event.clipboardData]]) {
  addEventListener(kind, (event) => {
    const [large, small] = part(held(event)?.files ?? []);
    if (!large.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    for (const file of large) take(file);
    if (small.length) { give([...chosen.files, ...small]); chosen.dispatchEvent(new Event("change")); }
  }, true);
}

// ---- One file ------------------------------------------------------------------------------------------------------

async function take(file) {
  if (file.size > most) {
    tell(`${file.name} is larger than ${box.dataset.mostWords}, the most that can be sent.`);
    return;
  }
  const mark = await markOf(file);
  const known = [...list.children].find((item) => item.dataset.called === file.name && Number(item.dataset.octets) === file.size
    && item.dataset.state === "coming" && !item.dataset.going && mark && item.dataset.mark === mark);
  const item = known ?? await begin(file, mark);
  if (item) await upload(item, file);
}

async function markOf(file) {
  if (!crypto.subtle) return ""; // no secure page: an upload cannot be gone on with after the page was closed
  const ends = new Blob([file.slice(0, EDGE), file.slice(-EDGE)]);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await ends.arrayBuffer()));
  return [...hash].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

async function begin(file, mark) {
  const fields = new URLSearchParams({ csrf: box.dataset.proof, called: file.name, kind: file.type, octets: file.size, mark });
  const { answer, told } = await ask(box.dataset.at, { method: "POST", body: fields });
  if (!answer?.ok) { tell(told.says); return null; }
  const item = make("li");
  Object.assign(item.dataset, { name: told.name, called: told.called, octets: told.octets, mark, state: told.state });
  const out = make("button", { className: "tool", name: "remove_large", value: told.name }, "Take out");
  out.append(make("span", { className: "out-of-sight" }, ` ${told.called}`));
  const progress = make("progress", { max: 100, value: 0 });
  progress.setAttribute("aria-label", `Upload of ${told.called}`);
  item.append(
    make("input", { type: "hidden", name: "large", value: told.name }),
    make("span", {}, told.called), " ", make("span", { className: "hint" }, told.size), " ",
    make("span", { className: "large-says" }), " ", progress, " ", out,
  );
  list.append(item);
  list.hidden = false;
  form.dispatchEvent(new Event("input", { bubbles: true })); // the draft is saved with it
  return item;
}

async function upload(item, file) {
  const at = `${box.dataset.at}/${item.dataset.name}`;
  const progress = item.querySelector("progress");
  item.dataset.going = "yes";
  progress.hidden = false;
  let offset = null;
  let failed = 0;
  while (item.isConnected) {
    if (offset === null) {
      const { answer, told } = await ask(at, {});
      if (answer?.ok) { offset = told.offset; item.dataset.state = told.state; } else if (answer?.status === 404) { say(item, "It is no longer there. Take it out, and add it again."); break; }
    }
    if (offset !== null && item.dataset.state !== "coming") { await look(item, at); break; }
    if (offset !== null) {
      const headers = { ...proof, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
      const { answer, told } = await ask(at, { method: "PATCH", body: file.slice(offset, offset + PART), headers });
      if (answer?.ok) {
        failed = 0;
        offset = told.offset;
        item.dataset.state = told.state;
        progress.value = offset * 100 / file.size;
        say(item, `${Math.floor(offset * 100 / file.size)} % uploaded.`);
        continue;
      }
      if (answer?.status === 400 || answer?.status === 403 || answer?.status === 404) { say(item, told.says || "It could not be uploaded. Save the draft and load the page again."); break; }
      offset = null; // ask where it stands
    }
    say(item, "The connection is away. It goes on by itself.");
    await quiet(WAITS[Math.min(failed++, WAITS.length - 1)]);
  }
  progress.hidden = true;
  delete item.dataset.going;
}

async function look(item, at) {
  for (const wait of [...WAITS, ...WAITS]) {
    say(item, "Uploaded. It is being examined.");
    const { answer, told } = await ask(at, { method: "POST", body: new URLSearchParams({ csrf: box.dataset.proof }) });
    if (answer?.ok && told.state !== "whole") {
      item.dataset.state = told.state;
      say(item, told.says);
      tell(`${item.dataset.called}: ${told.says}`);
      return;
    }
    await quiet(wait);
  }
}

async function ask(at, given) {
  try {
    const answer = await fetch(at, { redirect: "error", ...given });
    const told = answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : {};
    return { answer, told };
  } catch {
    return { answer: null, told: { says: "The connection is away. Try again." } };
  }
}

function say(item, words) { item.querySelector(".large-says").textContent = words; }
function tell(words) { said.classList.remove("out-of-sight"); said.textContent = words; }
