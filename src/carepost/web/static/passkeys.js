// Passkeys at the portal: offered where the device has what it needs, and nothing is missing where it has not.
//
// Promises
//   The server makes the question and judges the answer; this carries both, in a form of the page.
//   What goes wrong is said beside the button, and the code by email stays open.

const able = window.isSecureContext && Boolean(window.PublicKeyCredential && navigator.credentials);

const octets = (text) => {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
};
const written = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function question(form) {
  const body = new URLSearchParams({ csrf: form.elements.csrf.value });
  const answer = await fetch(form.dataset.question, { method: "POST", body });
  if (!answer.ok || !(answer.headers.get("content-type") || "").startsWith("application/json")) throw new Error("no question");
  const asked = await answer.json();
  asked.challenge = octets(asked.challenge);
  if (asked.user) asked.user.id = octets(asked.user.id);
  for (const list of [asked.excludeCredentials || [], asked.allowCredentials || []]) {
    for (const one of list) one.id = octets(one.id);
  }
  return asked;
}

function inWords(credential) {
  const { response } = credential;
  const given = { clientDataJSON: written(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) given[name] = written(response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: written(credential.rawId), type: credential.type, response: given });
}

async function ask(form) {
  const button = form.querySelector("button");
  const status = form.querySelector('[role="status"]');
  button.disabled = true;
  status.textContent = "Your device asks you now.";
  try {
    const publicKey = await question(form);
    const credential = await navigator.credentials[form.dataset.passkey]({ publicKey });
    form.elements.answer.value = inWords(credential);
    form.submit();
  } catch (error) {
    button.disabled = false;
    status.textContent =
      error.name === "InvalidStateError"
        ? "This device has a passkey for these messages already."
        : "Your device did not do it, or you said no. You can try again, or go on without a passkey.";
    button.focus();
  }
}

for (const form of able ? document.querySelectorAll("form[data-passkey]") : []) {
  form.hidden = false;
  if (form.dataset.passkey === "start") continue;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
}
