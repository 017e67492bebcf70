/* --- the page ------------------------------------------------------------------------ */
const at = id => document.getElementById(id);
function show(language) {
  document.documentElement.lang = language;
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
async function begin() {
  const known = ["en", "zh-Hant", "zh-Hans"];
  const asked = (location.hash.slice(1) || navigator.language || "en");
  show(known.find(k => k === asked) || (/^zh/.test(asked) ? (/TW|HK|MO|Hant/i.test(asked) ? "zh-Hant" : "zh-Hans") : "en"));
  for (const one of document.querySelectorAll("button[data-language]")) one.onclick = () => show(one.dataset.language);
  try {
    if (!subtle) { document.body.dataset.state = "unable"; return; }
    const words = at("words").textContent, packed = at("certificate").textContent;
    const verified = verify(unbase64(packed)), whole = sha256(utf8.encode(words + packed));
    verified.catch(() => {}); // it is heard below, if the words are true
    need(hex(await whole) === document.body.dataset.digest, "page");
    const found = await verified;
    const took = performance.now() - start;
    at("page").innerHTML = words;
    document.body.dataset.took = took.toFixed(1);
    document.body.dataset.byHand = String(!found.own);
    document.body.dataset.state = "valid";
  } catch (error) {
    document.body.dataset.state = "invalid";
    at("page").textContent = "";
    tell(error);
  }
}
globalThis.hetaoVerify = verify;
begin();
