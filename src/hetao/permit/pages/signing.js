"use strict";
// What is shown comes from this machine; what is signed is hashed here, in the browser.
const ask = JSON.parse(document.getElementById("ask").textContent);
const bytes = (text) => new TextEncoder().encode(text);
const sha256 = async (text) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(text)));
const hex = (data) => Array.from(data, (one) => one.toString(16).padStart(2, "0")).join("");
const base64 = (data) => btoa(Array.from(new Uint8Array(data), (one) => String.fromCharCode(one)).join(""));
const all = (chosen) => document.querySelectorAll(chosen);

function speak(language) {
  document.documentElement.lang = language;
  for (const one of all("article")) one.hidden = one.lang !== language;
  for (const one of all("nav button")) one.setAttribute("aria-pressed", String(one.lang === language));
  document.title = document.querySelector(`article[lang="${language}"] h1`).textContent;
}

function say(what, words) {
  for (const one of all(".said")) one.hidden = !one.classList.contains(what);
  for (const one of all(`.said.${what} .words`)) one.textContent = words || "";
  document.body.dataset.said = what;
}

async function assertion(made) {
  const found = await navigator.credentials.get({
    publicKey: {
      challenge: await sha256(ask.text),
      rpId: location.hostname,
      allowCredentials: made ? [{ type: "public-key", id: made.rawId }] : [],
      userVerification: "required",
      timeout: 300000,
    },
  });
  const given = found.response;
  return {
    authenticatorData: base64(given.authenticatorData),
    clientDataJSON: base64(given.clientDataJSON),
    signature: base64(given.signature),
  };
}

function register(challenge, user) {
  return navigator.credentials.create({
    publicKey: {
      challenge,
      rp: { id: location.hostname, name: "Hetao" },
      user: { id: user, name: ask.key, displayName: ask.owner },
      pubKeyCredParams: [-7, -8].map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      attestation: "none",
      timeout: 300000,
    },
  });
}

async function answered() {
  const body = ask.text.slice(ask.domain.length);
  const answer = { do: ask.do, body: JSON.parse(body), comment: ask.comment };
  const holds = async (text, digest) => !text || digest === `sha256:${hex(await sha256(text))}`;
  if (!await holds(ask.shown, answer.body.permit)) return null;
  if (!await holds(ask.replacing, answer.body.replaced_by)) return null;
  let made = null;
  if (ask.do === "register") {
    made = await register(await sha256(ask.text), await sha256(ask.key));
    answer.public = base64(made.response.getPublicKey());
  }
  answer.assertion = await assertion(made);
  return answer;
}

function offer(answer) {
  const text = JSON.stringify(answer, null, 1) + "\n";
  const place = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  for (const one of all("a.answer")) one.href = place;
  document.querySelector("article:not([hidden]) a.answer").click();
  say("offered");
}

async function send(answer) {
  const sent = await fetch(location.pathname, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(answer),
  });
  say(sent.ok ? "done" : "refused", await sent.text());
}

async function sign() {
  for (const one of all(".sign")) one.disabled = true;
  document.body.dataset.said = "signing";
  let done = false;
  try {
    const answer = await answered();
    if (answer === null) return say("changed");
    if (ask.served) await send(answer);
    else offer(answer);
    done = document.body.dataset.said !== "refused";
  } catch (fault) {
    say("cancelled", `${fault.name}: ${fault.message}`);
  } finally {
    for (const one of all(".sign")) one.disabled = done;
  }
}

for (const one of all("nav button")) one.addEventListener("click", () => speak(one.lang));
for (const one of all(".sign")) one.addEventListener("click", sign);
speak(ask.language);
document.body.dataset.said = "ready";
