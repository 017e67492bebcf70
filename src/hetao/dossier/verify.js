/* Checks the certificate that a page holds, by itself: no network, no library.
   Steps as in docs/specs/certificate.md; what is left out stands in the page.
   Before verify_page.js stands verify_study.js, or verify_revoked.js: script.py makes one script of three.
   Whoever opens a page runs it once, before a browser has made it fast: so digests and signatures are the
   browser's own and are begun early, beside the script; and lists are walked by number, and taken apart without
   patterns, for it makes of a `for (... of ...)` or a `[a, b] = ...` several times the code, which it reads first. */
const start = performance.now();
const P = 2n ** 255n - 19n;
const utf8 = new TextEncoder(), UTF8 = ["utf-8", { fatal: true, ignoreBOM: true }];
const subtle = globalThis.crypto && globalThis.crypto.subtle;
/* Why something is refused: a key of the page's sentences, and what fills it in. */
/* What is made beside the script, and refused when it is looked at. */
const quiet = () => {}, beside = promise => { promise.catch(quiet); return promise; };
class Refused extends Error { constructor(why, first, second) { super(why); this.slots = [first, second]; } }
function need(holds, why, first, second) { if (!holds) throw new Refused(why, first, second); }

/* --- bytes: the browser's own ways to write and read them where it has any, which run at once ------ */
const quick = typeof Uint8Array.fromBase64 === "function" && typeof Uint8Array.prototype.toHex === "function";
const base64 = quick ? data => data.toBase64() : data => { let s = ""; for (const b of data) s += String.fromCharCode(b); return btoa(s); };
const STRICT = { lastChunkHandling: "strict" }; // no bit too many: of other spellings a space is left, which is counted
function unbase64(text) {
  const data = quick ? Uint8Array.fromBase64(text, STRICT) : Uint8Array.from(atob(text), c => c.charCodeAt(0));
  need(quick ? text.length === 4 * Math.ceil(data.length / 3) : base64(data) === text, "spelling");
  return data;
}
const url64 = data => base64(data).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const hex = quick ? data => data.toHex() : data => Array.from(data, b => b.toString(16).padStart(2, "0")).join("");
function unhex(text) {
  const data = quick ? Uint8Array.fromHex(text) : Uint8Array.from(text.match(/../g) || [], p => parseInt(p, 16));
  need(hex(data) === text, "spelling");
  return data;
}
/* The text of bytes, in pieces: a browser reads one of letters alone far faster than one with a dash in it. */
function textOf(data) {
  const reader = new TextDecoder(...UTF8);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += reader.decode(data.subarray(at, at + 8192), { stream: true });
  return text + reader.decode();
}
function joined(...parts) {
  let size = 0, at = 0;
  for (let i = 0; i < parts.length; i++) size += parts[i].length;
  const all = new Uint8Array(size);
  for (let i = 0; i < parts.length; at += parts[i++].length) all.set(parts[i], at);
  return all;
}
function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
/* All cryptography is asked for here: a browser that counts the first use of some reads the function that asked again. */
const asks = (what, ...rest) => subtle[what](...rest);
const digest = data => asks("digest", "SHA-256", data), bytesOf = found => new Uint8Array(found);
const sha256 = data => digest(data).then(bytesOf);

/* --- canonical JSON, RFC 8785 --------------------------------------------------- */
/* Where all names of a value stand in their order, and ours do, the browser's own text is the canonical one.
   They cannot where a name is a whole number, which a browser puts first. */
function ordered(value, left) {
  need(left, "canonical"); // nested more deeply than any other reader takes
  let last = "", holds = true; // "" is the least
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const one = value[i];
      if (typeof one === "object" && one !== null && !ordered(one, left - 1)) holds = false;
    }
  } else for (const name in value) {
    const one = value[name];
    if (name < last || typeof one === "object" && one !== null && !ordered(one, left - 1)) holds = false;
    last = name;
  }
  return holds;
}
function sorted(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return "[" + value.map(sorted).join(",") + "]";
  return "{" + Object.keys(value).sort().map(k => JSON.stringify(k) + ":" + sorted(value[k])).join(",") + "}";
}
const writing = value => ordered(value, 100) ? value => JSON.stringify(value) : sorted;
/* Half a character, which no other reader takes: a browser writes it as such a word. */
const halved = text => text.includes("\\ud") && /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/.test(text);
const named = found => "sha256:" + hex(bytesOf(found));
const digestOf = data => digest(data).then(named);

/* --- Ed25519: the browser's own; else by verify_ed25519.js ------------------------- */
const mod = a => ((a % P) + P) % P;
const number = data => BigInt("0x" + hex(data.slice().reverse()));
let own = true;
/* Whether a key is no point of small order, and in its one form: by its y, which of order 8 solves d y^4 + 2 y^2 = 1,
   where d is -121665 / 121666. */
function isStrong(raw) {
  if (raw.length !== 32) return false;
  const y = number(raw) & (2n ** 255n - 1n), y2 = y * y;
  return y < P && mod(y * (y2 - 1n) * (121666n * (2n * y2 - 1n) - 121665n * y2 * y2)) !== 0n;
}
/* The same of a key to seal to, X25519, by its u: of order 8 the double is 1. */
function isSealing(raw) {
  if (raw.length !== 32) return false;
  const u = number(raw), square = (u * u - 1n) ** 2n;
  return u < P && mod(u * square * (square - 4n * u * (u * u + 486662n * u + 1n))) !== 0n;
}
const ED25519 = "06032b6570"; // how a key's DER says so
function halfOf({ public: text, kind }) {
  const raw = unbase64(text);
  return kind === "ed25519" ? raw : hex(raw).includes(ED25519) ? raw.slice(-32) : null;
}
/* A key, made ready beside: null if it is none, or if the browser knows no such keys. */
function keyOf(text) {
  const raw = unbase64(text), key = { raw, native: null, ready: null };
  need(isStrong(raw), "weak_key");
  const mine = error => { if (error.name === "NotSupportedError" || error.name === "SyntaxError") own = false; };
  if (own) key.ready = asks("importKey", "raw", raw, { name: "Ed25519" }, false, ["verify"]).then(made => { key.native = made; }, mine);
  return key;
}
/* Or a promise of it. The key is ready. */
function holds({ raw, native }, signature, message) {
  if (raw.length !== 32 || signature.length !== 64) return false;
  if (!own) return later().holdsByHand(raw, signature, message);
  return native !== null && asks("verify", "Ed25519", native, signature, message);
}

/* --- the log ------------------------------------------------------------------------ */
const hashed = data => digest(data).then(found => hex(bytesOf(found)));
/* Where a path leads from a leaf, which is a zero and an entry, in hex as its parts are. `nodes` are those of this tree
   that were hashed before: paths of one tree share many. */
async function rootOf(index, size, leaf, path, nodes) {
  need(Number.isInteger(index) && index >= 0 && index < size && Array.isArray(path), "path");
  let at = index, last = size - 1, reached = await hashed(leaf);
  for (let i = 0; i < path.length; i++) {
    const sibling = path[i];
    need(last > 0 && sibling.length === 64, "path");
    const right = at % 2 || at === last, both = right ? sibling + reached : reached + sibling;
    if (!nodes.has(both)) nodes.set(both, hashed(unhex("01" + both)));
    if (right) while (at && at % 2 === 0) { at = Math.floor(at / 2); last = Math.floor(last / 2); }
    reached = await nodes.get(both);
    at = Math.floor(at / 2); last = Math.floor(last / 2);
  }
  need(last === 0, "path");
  return reached;
}
/* Of names, sizes and times an opening asks no expression, which a browser is slow to make ready for the first. */
const NAME = /^[^+\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/; // no plus, no space of Unicode
function isName(text) {
  let plain = text.length > 0;
  for (let i = 0; i < text.length; i++) { const c = text.charCodeAt(i); plain = plain && c > 32 && c < 127 && c !== 43; }
  return plain || NAME.test(text);
}
/* A number of entries, in its one form. */
function counting(text) {
  const n = Number(text);
  need(String(n) === text && Number.isSafeInteger(n) && n >= 0 && text.length <= 15, "checkpoint");
  return n;
}
function readNote(note) {
  const cut = note.lastIndexOf("\n\n");
  need(cut >= 0, "checkpoint");
  const text = note.slice(0, cut + 1), lines = note.slice(cut + 2).split("\n");
  need(lines.pop() === "" && lines.length && lines.length <= 100, "checkpoint");
  const told = text.split("\n"), size = counting(told[1]);
  need(told.length === 4 && told[3] === "", "checkpoint");
  const signed = lines.map(line => {
    const parts = line.split(" "), who = parts[1];
    need(parts.length === 3 && parts[0] === "\u2014" && isName(who), "checkpoint");
    const data = unbase64(parts[2]);
    need(data.length > 4, "checkpoint");
    return { who, data };
  });
  const reached = unbase64(told[2]);
  need(reached.length === 32, "checkpoint");
  return { text, origin: told[0], size, root: hex(reached), signed };
}
async function signedNote(note, name, kind, key) {
  const id = (await sha256(joined(utf8.encode(name + "\n"), [kind], key.raw))).slice(0, 4);
  let first = null;
  for (let i = 0; i < note.signed.length; i++) {
    const { who, data } = note.signed[i];
    if (who !== name || !same(data.slice(0, 4), id)) continue;
    let rest = data.slice(4), when = 0, message = note.text;
    if (kind === 4) {
      when = Number(new DataView(rest.buffer).getBigUint64(0)); rest = rest.slice(8);
      message = `cosignature/v1\ntime ${when}\n${note.text}`;
    }
    need(await holds(key, rest, utf8.encode(message)), "log_signature", name);
    first = first === null ? when : Math.min(first, when);
  }
  return first;
}

/* --- the certificate ---------------------------------------------------------------- */
function didKey(key) {
  const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  let n = BigInt("0x" + hex(joined([0xed, 1], key))), digits = "";
  for (; n; n /= 58n) digits = alphabet[Number(n % 58n)] + digits;
  return "did:key:z" + digits;
}
const STUDY = "hetao.certificate/3", REVOKED = "hetao.revoked-certificate/1", RELEASE = "hetao.release/2";
const ROUND = "analysis,attempt,members,protocol,receipts,round,task,totals", COUNT = "sealed_count";
const COUNTED = ["count", "sites"]; // how tasks of sealed counts end: of people, or of sites
const has = (value, names) => Object.keys(value).join() === names; // which stand in their order, or the text is refused
const DOMAIN = utf8.encode("hetao-statement-v1\n"); // before what a party signs
/* The parts of a certificate, and what is asked about them. Digests and signatures are made beside this script:
   each is a promise, with the one good answer and words for any other. What stands there is looked at meanwhile;
   all of it has to hold. */
function opened(data, type) {
  let value, text;
  try { text = textOf(data); value = JSON.parse(text); } catch { throw new Refused("json"); }
  need(has(value, "body,log,signature,sums"), "certificate");
  const { body, log, signature, sums } = value, permit = body.permit.permit;
  need(body.type === type, body.type === REVOKED ? "revoked" : "type");
  need(!Object.keys(sums).length, "integers");
  need(has(body.permit, "notices,permit") && typeof body.software === "string", "malformed");
  /* Without a prototype: else one may be named as what every object has, and be a party that nobody listed. */
  const parties = Object.create(null);
  permit.parties.forEach(p => { parties[p.name] = { role: p.role, side: p.side, key: keyOf(p.sign) }; });
  need(Object.keys(parties).length === permit.parties.length, "party_twice");
  const halves = permit.keys.filter(k => k.kind === "ed25519" || k.kind === "passkey").map(halfOf);
  need(halves.every(half => half === null || isStrong(half)), "weak_key");
  need(permit.parties.every(p => !p.seal || isSealing(unbase64(p.seal))), "weak_key");
  const released = releasedOf(body), hubs = permit.parties.filter(p => p.role === "hub").map(p => p.name);
  const bosses = permit.parties.filter(p => p.role === "coordinator").map(p => p.name);
  need(hubs.length === 2 && bosses.length === 1, "parties");
  const canonical = writing(value), bytes = value => utf8.encode(canonical(value)), asked = [], answers = [];
  need(canonical(value) === text && canonical(sums) === "{}" && !halved(text), "canonical");
  /* So the bytes of the body stand between its name and what follows it. */
  const whole = data.subarray('{"body":'.length, data.length - bytes({ log, signature, sums }).length);
  const ask = (promise, good, why, first, second) => {
    asked.push(promise);
    answers.push({ good, why, first, second });
  };
  /* Returns a statement as a leaf of a log: a zero and its text, which is written once. What is signed of it stands
     between {"body": and ,"signature":"..."}, in base64 or refused. */
  function says(name, statement, key = parties[name].key) {
    need(Object.keys(statement).join() === "body,signature", "malformed");
    const leaf = utf8.encode("\0" + canonical(statement)), { signature } = statement;
    const body = leaf.subarray('\0{"body":'.length, leaf.length - ',"signature":""}'.length - signature.length);
    ask(holds(key, unbase64(signature), joined(DOMAIN, body)), true, "signature", name);
    return leaf;
  }
  /* All that was signed of releases and sums, as leaves by statement. */
  function saysAll(leaves) {
    const all = told => { for (const name in told) leaves.set(told[name], says(name, told[name])); };
    released.forEach(one => { all(one.receipts); all(one.totals); });
    return leaves;
  }
  const keysReady = () => Promise.all(Object.values(parties).map(party => party.key.ready));
  async function answered() {
    const found = await Promise.all(asked);
    found.forEach((one, i) => {
      const { good, why, first, second } = answers[i];
      need((one instanceof ArrayBuffer ? named(one) : one) === good, why, first, second);
    });
  }
  return { body, released, whole, log, signature, permit, parties, hubs, boss: bosses[0], canonical, bytes, ask, says, saysAll, keysReady, answered };
}
const fits = (said, place) => Object.keys(place).every(k => said[k] === place[k]);
const once = (all, why) => need(new Set(all).size === all.length, why);
const FORM = "0000-00-00T00:00:00Z";
/* Seconds since 1970 of a UTC time, which is written in one form, and of no day or hour too many. */
function seconds(time) {
  const at = Date.parse(time);
  let holds = time.length === FORM.length && time >= "1000" && time < "3000" && new Date(at).getUTCDate() === Number(time.slice(8, 10));
  for (let i = 0; i < FORM.length; i++) holds = holds && (FORM[i] === "0" ? time[i] >= "0" && time[i] <= "9" : time[i] === FORM[i]);
  need(holds, "spelling");
  return at / 1000;
}

/* What sites released: for the rounds, and for the sealed counts before them, which nobody opened. */
function releasedOf({ rounds, sealed_counts: counts = [] }) { return [...rounds, ...counts]; }
/* Each round has its fields, a name and a place of its own, and is of an analysis of the study. */
function placed({ body, released, canonical }) {
  const asked = body.study.analyses.map(a => a.name);
  released.forEach(one => {
    need(has(one, ROUND) && Number.isInteger(one.attempt) && Number.isInteger(one.round), "fields", one.task);
    need(asked.includes(one.analysis), "other_analysis");
  });
  once(released.map(one => one.task), "round_twice");
  once(released.map(one => canonical([one.analysis, one.attempt, one.protocol === COUNT ? one.task : one.round])), "round_twice");
  return asked;
}
const inTurn = names => names.slice().sort().join();
/* Each release and each sum is signed, of this place, and they fit. All are there; or, of a run that was ended, some. */
function releases({ released, parties, hubs, canonical }, run, whole) {
  let count = 0;
  released.forEach(one => {
    const { task, analysis, attempt, round, members, receipts, totals } = one, sealed = one.protocol === COUNT;
    const place = { ...run, task, analysis, attempt, round }, sites = Object.keys(receipts), from = Object.keys(totals);
    need(whole ? inTurn(sites) === inTurn(members) : sites.every(site => members.includes(site)), "release_missing", task);
    need(whole ? inTurn(from) === inTurn(hubs) : from.every(hub => hubs.includes(hub)), "sum_missing", task);
    need(members.length && sites.length, "no_member", task);
    need(!sealed || COUNTED.some(what => task === `${analysis}/${attempt}/${what}`), "count_misplaced");
    const named = canonical(members), type = sealed ? "hetao.sealed-count/1" : "hetao.total/1";
    sites.forEach(site => {
      const said = receipts[site].body;
      need(parties[site].role === "site", "no_site", site);
      need(fits(said, { ...place, type: RELEASE, kind: "sum", site }) && canonical(said.members) === named, "release_elsewhere", site);
      count++;
    });
    from.forEach(hub => {
      const said = totals[hub].body, { shares } = said, sharing = Object.keys(shares);
      const these = sharing.length === new Set(members).size && sharing.every(site =>
        Object.hasOwn(receipts, site) ? shares[site] === receipts[site].body.shares[hub] : !whole && members.includes(site));
      need(fits(said, { ...place, type, hub }) && these, "other_sum", hub, task);
    });
    if (sealed && from.length === hubs.length) {
      const first = totals[hubs[0]].body, second = totals[hubs[1]].body;
      need(["cell", "combinations", "control"].every(k => first[k] === second[k]), "two_counts", task);
      const least = task.endsWith("/sites") ? "sites" : "cell", asks = sites.map(site => receipts[site].body.policy.minimum[least]);
      need([first.cell, first.combinations, ...asks].every(Number.isInteger) && first.combinations > 0 && Math.max(...asks) <= first.cell, "few_counted", task);
    }
  });
  return count;
}
function inCodePoints(a, b) {
  const x = Array.from(a), y = Array.from(b);
  for (let i = 0; i < x.length && i < y.length; i++) if (x[i] !== y[i]) return x[i].codePointAt(0) - y[i].codePointAt(0);
  return x.length - y.length;
}
const inOrder = value => Object.fromEntries(Object.keys(value).sort().map(k => [k, value[k]]));
/* The credential of exactly this certificate stands in its issuer's log, seen by both hubs.
   `said` is what it says of this kind of certificate, and of which sites. */
function inLog({ body, log, parties, hubs, boss, canonical, ask }, kind, found, said) {
  need(has(log, "credential,proof"), "malformed");
  const cut = log.proof.indexOf("\n\n"), path = log.proof.slice(0, cut).split("\n"), first = path.shift(), place = path.shift();
  need(first === "c2sp.org/tlog-proof@v1" && place !== undefined && place.startsWith("index "), "proof");
  const index = counting(place.slice("index ".length)), note = readNote(log.proof.slice(cut + 2)), bossKey = parties[boss].key, issuer = didKey(bossKey.raw);
  need(note.origin === boss, "log_unsigned", boss);
  need(index === note.size - 1, "not_at_end");
  ask(beside(signedNote(note, boss, 1, bossKey)), 0, "log_unsigned", boss);
  const at = seconds(body.issued), near = when => when !== null && Math.abs(when - at) <= 3600;
  hubs.forEach(hub => { ask(beside(signedNote(note, hub, 4, parties[hub].key).then(near)), true, "not_cosigned", hub); });
  const short = issuer.slice("did:key:".length), terms = {}, { software } = body;
  const own = inOrder({ body: found[0], permit: found[2], software, study: found[1], ...said });
  Object.keys(own).forEach(t => { terms[t] = "urn:hetao:terms#" + t; });
  const status = statusPurpose => ({
    statusListCredential: `urn:hetao:status:${short}:${statusPurpose}`, statusListIndex: String(index),
    statusPurpose, type: "BitstringStatusListEntry" });
  const claims = {
    "@context": ["https://www.w3.org/ns/credentials/v2", { [kind]: "urn:hetao:terms#" + kind, ...terms }],
    credentialStatus: [status("revocation"), status("suspension")],
    credentialSubject: inOrder({ ...own, id: "urn:hetao:run:" + body.run, sites: said.sites.sort(inCodePoints) }),
    id: "urn:hetao:certificate:" + found[0], issuer: { id: issuer, name: boss },
    type: ["VerifiableCredential", kind], validFrom: body.issued };
  const header = canonical({ alg: "EdDSA", cty: "vc", kid: `${issuer}#${short}`, typ: "vc+jwt" });
  const signed = url64(utf8.encode(header)) + "." + url64(utf8.encode(canonical(claims)));
  need(log.credential.startsWith(signed + "."), "other_credential");
  const last = log.credential.slice(signed.length + 1), raw = unbase64(last.replaceAll("-", "+").replaceAll("_", "/") + "==");
  need(url64(raw) === last, "spelling"); // of 64 bytes, or no signature
  ask(holds(bossKey, raw, utf8.encode(signed)), true, "credential");
  const root = rootOf(index, note.size, utf8.encode("\0" + log.credential), path.map(part => hex(unbase64(part))), new Map());
  ask(beside(root), note.root, "not_in_log");
  return { index, size: note.size };
}
