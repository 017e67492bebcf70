/* --- the page ------------------------------------------------------------------------ */
const at = id => document.getElementById(id);
function show(language) {
  if (document.documentElement.lang !== language) document.documentElement.lang = language;
  document.body.dataset.language = language;
  for (const one of document.querySelectorAll("button[data-language]"))
    one.setAttribute("aria-pressed", String(one.dataset.language === language));
}
/* Say why, in each language: the page has the sentences, and who or what fills them in. */
function tell(error) {
  const { message, slots = [] } = error instanceof Refused ? error : { message: "malformed" };
  const said = JSON.parse(at("refusals").textContent)[message];
  for (const one of document.querySelectorAll(".why")) one.textContent = said[one.lang].replace(/\{([01])\}/g, (_, i) => slots[i]);
}
/* What an opening seldom needs is text in the page, and is made a script here, so that no opening waits for it. */
let more;
function later() {
  if (!more) {
    const script = document.createElement("script");
    script.textContent = at("later").textContent;
    document.head.append(script);
    more = globalThis.hetaoLater(globalThis.hetaoTools);
  }
  return more;
}
/* Under a policy of the reader's own, as often as one is chosen: until then no certificate counts, whatever holds. */
let choices = 0;
async function choose(certificate) {
  const [file] = at("witnesses").files, mine = ++choices;
  document.body.dataset.state = "holds";
  if (!file) return;
  let state = "below";
  try {
    need(file.size <= 2 ** 20, "policy_large");
    const data = await file.arrayBuffer().catch(() => { throw new Refused("policy_unread"); });
    const { names, alone } = await later().judged(JSON.parse(textOf(certificate)), new Uint8Array(data));
    if (mine !== choices) return;
    for (const one of document.querySelectorAll(".who")) {
      one.lastElementChild.textContent = names.join(one.lang === "en" ? ", " : "\u3001");
      one.hidden = !names.length;
    }
    state = alone ? "alone" : "valid";
  } catch (error) {
    if (mine !== choices) return;
    tell(error);
  }
  document.body.dataset.state = state;
}
/* In the language of the address or of the browser, and then of the button that is pressed. */
function showAsked() {
  const known = ["en", "zh-Hant", "zh-Hans"];
  const asked = (location.hash.slice(1) || navigator.language || "en");
  show(known.find(k => k === asked) || (/^zh/.test(asked) ? (/TW|HK|MO|Hant/i.test(asked) ? "zh-Hant" : "zh-Hans") : "en"));
  for (const one of document.querySelectorAll("button[data-language]")) one.onclick = () => show(one.dataset.language);
}
async function begin() {
  try {
    if (!subtle) { document.body.dataset.state = "unable"; return; }
    const words = at("words").textContent, packed = at("certificate").textContent;
    const data = unbase64(packed), verified = beside(verify(data)), digests = [utf8.encode(words), data].map(hashed);
    need((await Promise.all(digests)).join(" ") === document.body.dataset.digests, "page");
    const found = await verified;
    const took = performance.now() - start;
    at("page").innerHTML = words;
    document.body.dataset.took = took.toFixed(1);
    document.body.dataset.byHand = String(!found.own);
    document.body.dataset.state = "holds";
    const input = at("witnesses");
    input.onchange = () => choose(data);
    input.onclick = () => { input.value = ""; choose(data); }; // so that a file that was mended may be chosen again
  } catch (error) {
    document.body.dataset.state = "invalid";
    at("page").textContent = "";
    tell(error);
  } finally {
    showAsked(); // of what is shown by now: until here the page speaks every language
  }
}
globalThis.hetaoVerify = verify;
globalThis.hetaoTools = { NAME, P, Refused, base64, bytesOf, hex, holds, isStrong, joined, keyOf, mod, need, number, readNote, same, sha256, subtle, textOf, unbase64, unhex, utf8 };
begin();
