"use strict";
/* Checks the certificate that this page holds, by itself: no network, no library.
   Steps as in docs/specs/certificate.md; what is left out stands in the page. */
(() => {
const P = 2n ** 255n - 19n, L = 2n ** 252n + 27742317777372353535851937790883648493n;
const utf8 = new TextEncoder(), text8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const subtle = globalThis.crypto && globalThis.crypto.subtle;
class Refused extends Error {}
function need(holds, words) { if (!holds) throw new Refused(words); }

/* --- bytes: the browser's own ways to write and read them where it has any, which run at once ------ */
const quick = typeof Uint8Array.fromBase64 === "function" && typeof Uint8Array.prototype.toHex === "function";
const base64 = quick ? data => data.toBase64() : data => { let s = ""; for (const b of data) s += String.fromCharCode(b); return btoa(s); };
function unbase64(text) {
  const data = quick ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), c => c.charCodeAt(0));
  need(base64(data) === text, "base64 in another form");
  return data;
}
const url64 = data => base64(data).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const hex = quick ? data => data.toHex() : data => Array.from(data, b => b.toString(16).padStart(2, "0")).join("");
function unhex(text) {
  const data = quick ? Uint8Array.fromHex(text) : Uint8Array.from(text.match(/../g) || [], p => parseInt(p, 16));
  need(hex(data) === text, "not hexadecimal");
  return data;
}
function joined(...parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) { all.set(p, at); at += p.length; }
  return all;
}
function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
const sha = async (name, data) => new Uint8Array(await subtle.digest(name, data));
/* Nodes of a tree are hashed here, for each way to the browser's own takes longer; longer texts there, all at once. */
const ROUNDS = new Int32Array(64), FIRST = new Int32Array(8), W = new Int32Array(64);
for (let n = 0, p = 2; n < 64; p++) {
  let d = 2;
  while (d * d <= p && p % d) d++;
  if (d * d <= p) continue;
  if (n < 8) FIRST[n] = Math.sqrt(p) % 1 * 2 ** 32 | 0;
  ROUNDS[n++] = Math.cbrt(p) % 1 * 2 ** 32 | 0;
}
/* Written out: whoever opens a page runs this once, before a browser has made it fast. */
function hashed(data) {
  const whole = new Uint8Array(data.length + 72 & ~63), view = new DataView(whole.buffer), H = FIRST.slice();
  whole.set(data);
  whole[data.length] = 0x80;
  view.setUint32(whole.length - 4, data.length * 8);
  for (let at = 0; at < whole.length; at += 64) {
    for (let i = 0; i < 16; i++) W[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = W[i - 15], b = W[i - 2];
      W[i] = W[i - 16] + ((a >>> 7 | a << 25) ^ (a >>> 18 | a << 14) ^ a >>> 3)
        + W[i - 7] + ((b >>> 17 | b << 15) ^ (b >>> 19 | b << 13) ^ b >>> 10) | 0;
    }
    let a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7];
    for (let i = 0; i < 64; i++) {
      const one = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (g ^ e & (f ^ g)) + ROUNDS[i] + W[i] | 0;
      const two = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b | c & (a | b)) | 0;
      h = g; g = f; f = e; e = d + one | 0; d = c; c = b; b = a; a = one + two | 0;
    }
    H[0] += a; H[1] += b; H[2] += c; H[3] += d; H[4] += e; H[5] += f; H[6] += g; H[7] += h;
  }
  const made = new DataView(new ArrayBuffer(32));
  for (let i = 0; i < 8; i++) made.setUint32(4 * i, H[i]);
  return new Uint8Array(made.buffer);
}
const sha256 = async data => data.length < 256 ? hashed(data) : sha("SHA-256", data);

/* --- canonical JSON, RFC 8785 --------------------------------------------------- */
/* Where all names of a value stand in their order, and ours do, the browser's own text is the canonical one.
   They cannot where a name is a whole number, which a browser puts first. */
function ordered(value) {
  if (value === null || typeof value !== "object") return true;
  if (Array.isArray(value)) { for (const one of value) if (!ordered(one)) return false; return true; }
  let last;
  for (const name in value) {
    if (last !== undefined && !(last < name) || !ordered(value[name])) return false;
    last = name;
  }
  return true;
}
function sorted(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return "[" + value.map(sorted).join(",") + "]";
  return "{" + Object.keys(value).sort().map(k => JSON.stringify(k) + ":" + sorted(value[k])).join(",") + "}";
}
const writing = value => ordered(value) ? value => JSON.stringify(value) : sorted;
const digestOf = async data => "sha256:" + hex(await sha256(data));

/* --- Ed25519: the browser's own; else RFC 8032 in whole numbers -------------------- */
const mod = a => ((a % P) + P) % P;
function power(a, e) { let r = 1n; for (; e; e >>= 1n, a = a * a % P) if (e & 1n) r = r * a % P; return r; }
let D, ROOT, BASE; // of the curve, where they are needed
function add(a, b) {
  const e = mod((a[1] - a[0]) * (b[1] - b[0])), f = mod((a[1] + a[0]) * (b[1] + b[0]));
  const g = mod(2n * a[3] * b[3] * D), h = mod(2n * a[2] * b[2]);
  const x = f - e, y = h - g, z = h + g, w = f + e;
  return [mod(x * y), mod(z * w), mod(y * z), mod(x * w)];
}
function number(data) { let n = 0n; for (let i = data.length; i--;) n = n << 8n | BigInt(data[i]); return n; }
function point(data) {
  const n = number(data), sign = n >> 255n, y = n & (2n ** 255n - 1n);
  if (y >= P) return null;
  const x2 = mod((y * y - 1n) * power(mod(D * y * y + 1n), P - 2n));
  let x = power(x2, (P + 3n) / 8n);
  if (mod(x * x - x2)) x = mod(x * ROOT);
  if (mod(x * x - x2) || (!x && sign)) return null;
  if ((x & 1n) !== sign) x = mod(-x);
  return [x, y, 1n, mod(x * y)];
}
async function holdsByHand(key, signature, message) {
  D ??= mod(-121665n * power(121666n, P - 2n));
  ROOT ??= power(2n, (P - 1n) / 4n);
  BASE ??= point(Uint8Array.from({ length: 32 }, (_, i) => i ? 0x66 : 0x58));
  const s = number(signature.slice(32)), a = point(key);
  if (!a || s >= L) return false;
  const h = number(await sha("SHA-512", joined(signature.slice(0, 32), key, message))) % L;
  const minus = [mod(-a[0]), a[1], a[2], mod(-a[3])], both = add(BASE, minus);
  let at = [0n, 1n, 1n, 0n];
  for (let i = 255n; i >= 0n; i--) {
    at = add(at, at);
    const which = Number((s >> i & 1n) | (h >> i & 1n) << 1n);
    if (which) at = add(at, [BASE, minus, both][which - 1]);
  }
  const z = power(at[2], P - 2n);
  let n = mod(at[1] * z) | (mod(at[0] * z) & 1n) << 255n;
  return same(Uint8Array.from({ length: 32 }, () => { const b = Number(n & 255n); n >>= 8n; return b; }), signature.slice(0, 32));
}
let own = true;
const keys = new Map();
async function holds(key, signature, message) {
  if (key.length !== 32 || signature.length !== 64) return false;
  if (own) try {
    const name = hex(key);
    if (!keys.has(name)) keys.set(name, subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]));
    return await subtle.verify("Ed25519", await keys.get(name), signature, message);
  } catch (error) {
    if (error.name !== "NotSupportedError" && error.name !== "SyntaxError") return false;
    own = false;
  }
  return holdsByHand(key, signature, message);
}

/* --- the log ------------------------------------------------------------------------ */
/* `nodes` are those of this tree that were hashed before: paths of one tree share many. */
async function rootOf(index, size, entry, path, nodes) {
  need(index >= 0 && index < size, "the entry lies outside the log");
  let at = index, last = size - 1, reached = await sha256(joined([0], entry));
  const over = (left, right) => {
    const both = joined([1], left, right), name = hex(both);
    if (!nodes.has(name)) nodes.set(name, hashed(both));
    return nodes.get(name);
  };
  for (const sibling of path) {
    need(last > 0, "the path is longer than the log is deep");
    if (at % 2 || at === last) {
      reached = over(sibling, reached);
      while (at && at % 2 === 0) { at = Math.floor(at / 2); last = Math.floor(last / 2); }
    } else reached = over(reached, sibling);
    at = Math.floor(at / 2); last = Math.floor(last / 2);
  }
  need(last === 0, "the path is shorter than the log is deep");
  return reached;
}
function readNote(note) {
  const cut = note.lastIndexOf("\n\n");
  need(cut >= 0, "a note is malformed");
  const text = note.slice(0, cut + 1), lines = note.slice(cut + 2).split("\n");
  need(lines.pop() === "" && lines.length, "a note is malformed");
  const [origin, size, root, end, more] = text.split("\n");
  need(end === "" && more === undefined && /^(0|[1-9][0-9]{0,14})$/.test(size), "a checkpoint is malformed");
  const signed = lines.map(line => {
    const [dash, name, packed, more] = line.split(" ");
    need(dash === "\u2014" && packed !== undefined && more === undefined, "a signature line is malformed");
    return [name, unbase64(packed)];
  });
  return { text, origin, size: Number(size), root: unbase64(root), signed };
}
async function signedNote(note, name, kind, key) {
  const id = (await sha256(joined(utf8.encode(name + "\n"), [kind], key))).slice(0, 4);
  let first = null;
  for (const [who, data] of note.signed) {
    if (who !== name || !same(data.slice(0, 4), id)) continue;
    let rest = data.slice(4), when = 0, message = note.text;
    if (kind === 4) {
      when = Number(new DataView(rest.buffer).getBigUint64(0)); rest = rest.slice(8);
      message = `cosignature/v1\ntime ${when}\n${note.text}`;
    }
    need(await holds(key, rest, utf8.encode(message)), `the signature of ${name} in the log does not hold`);
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
/* Each analysis of the study has a finding, over one unbroken course of its rounds. */
function courses(body, canonical) {
  const asked = body.study.analyses.map(a => a.name), logged = new Set(body.sites.map(s => s.name));
  need(asked.length && canonical(asked) === canonical(body.findings.map(f => f.analysis)), "the findings are not those of the study");
  const once = (all, words) => need(new Set(all).size === all.length, words);
  once(body.rounds.map(one => one.task), "a round stands twice");
  once(body.rounds.map(one => canonical([one.analysis, one.attempt, one.round])), "a round stands twice");
  for (const one of body.rounds) {
    need(asked.includes(one.analysis), "a round is of no analysis of the study");
    for (const site of one.members) need(logged.has(site) || Object.hasOwn(body.lost, site), `a release of ${site} has no place in a log`);
  }
  for (const { analysis, members, rounds } of body.findings) {
    const own = body.rounds.filter(one => one.analysis === analysis), last = Math.max(...own.map(one => one.attempt));
    const course = own.filter(one => one.attempt === last);
    need(own.length && course.length === rounds && course.every((one, i) => one.round === i), `${analysis} lacks a round`);
    need(course.every(one => canonical(one.members) === canonical(members)), `${analysis} counts other members than its rounds`);
    need(members.every(site => logged.has(site) && !Object.hasOwn(body.lost, site)), `${analysis} counts a site that has no log here`);
  }
}
async function verify(data) {
  let value, text;
  try { text = text8.decode(data); value = JSON.parse(text); } catch { throw new Refused("it is not JSON"); }
  need(Object.keys(value).sort().join() === "body,log,signature,sums", "not a certificate");
  const { body, log, signature, sums } = value, permit = body.permit.permit;
  const canonical = writing(value), digest = value => digestOf(utf8.encode(canonical(value)));
  need(canonical(value) === text, "the text is not in canonical form");
  need(body.type === "hetao.certificate/3", "not a certificate of a known type");
  need(!Object.keys(sums).length, "a page holds no integers");
  const parties = Object.fromEntries(permit.parties.map(p => [p.name, p]));
  need(Object.keys(parties).length === permit.parties.length, "a party stands twice");
  const key = name => unbase64(parties[name].sign);
  const hubs = permit.parties.filter(p => p.role === "hub").map(p => p.name);
  const bosses = permit.parties.filter(p => p.role === "coordinator").map(p => p.name);
  need(hubs.length === 2 && bosses.length === 1, "not one coordinator and two hubs");
  const boss = bosses[0], bossKey = key(boss);
  async function says(name, statement) {
    const message = utf8.encode("hetao-statement-v1\n" + canonical(statement.body));
    need(await holds(key(name), unbase64(statement.signature), message), `${name} did not sign what stands here`);
    return statement.body;
  }
  const run = body.run, RELEASE = "hetao.release/2";
  const ACTS = "acts,at,dictionary,mapping,people,root,site,snapshot,type,vocabulary";
  const fits = (said, place) => Object.keys(place).every(k => said[k] === place[k]);
  courses(body, canonical);

  /* All at once, signatures first; what fails after the first failure is heard by nobody. */
  const begun = promise => { promise.catch(() => {}); return promise; };
  const digests = begun(Promise.all([body, body.study, permit, body.findings, body.checks].map(digest)));
  const placed = begun(digests.then(([, study, permit]) => ({ run, study, permit })));
  const issued = begun((async () => {
    const [name, study] = await digests;
    need(permit.study === study, "the permit is for another study");
    await says(boss, { body: { body: name, log, type: "hetao.signed-certificate/1" }, signature });
  })());
  const rounds = body.rounds.map(one => begun((async () => {
    need(Object.keys(one.receipts).sort().join() === [...one.members].sort().join(), `${one.task} lacks a release`);
    need(Object.keys(one.totals).sort().join() === [...hubs].sort().join(), `${one.task} lacks a sum`);
    need(one.members.length, `${one.task} has no member`);
    const totals = Object.fromEntries(hubs.map(hub => [hub, begun(says(hub, one.totals[hub]))]));
    const receipts = Object.entries(one.receipts).map(([site, r]) => [site, begun(says(site, r))]);
    const place = { ...await placed, task: one.task, analysis: one.analysis, attempt: one.attempt, round: one.round };
    const said = await Promise.all(receipts.map(async ([site, told]) => {
      const b = await told;
      need(parties[site].role === "site", `${site} is not a site`);
      need(fits(b, { ...place, type: RELEASE, kind: "sum", site }) && canonical(b.members) === canonical(one.members), `a release of ${site} belongs elsewhere`);
      return [site, b];
    }));
    await Promise.all(hubs.map(async hub => {
      const total = await totals[hub];
      const shares = Object.fromEntries(said.map(([site, b]) => [site, b.shares[hub]]));
      need(fits(total, { ...place, type: "hetao.total/1", hub }) && canonical(total.shares) === canonical(shares), `${hub} summed something else in ${one.task}`);
    }));
    return said.length;
  })()));
  const sites = body.sites.map(entry => begun((async () => {
    const note = readNote(entry.checkpoint), noted = begun(signedNote(note, entry.name, 1, key(entry.name)));
    const told = { ready: begun(says(entry.name, entry.ready)), closing: begun(says(entry.name, entry.closing)) };
    if (entry.extract !== null) told.extract = begun(says(entry.name, entry.extract.record));
    need(note.origin === entry.name && await noted === 0, `the checkpoint of ${entry.name} is not its own`);
    const { snapshot, policy, concepts, quality, checkpoint, proofs, extract, ready } = entry;
    const { committed } = permit;
    need(extract !== null || !committed, `${entry.name} had not committed`);
    const extractDigest = extract === null ? null : await digest(committed ? { record: extract.record, seen: extract.seen } : extract.record);
    const first = {
      ...(concepts.length ? { concepts } : {}), dictionary: body.study.dictionary,
      ...(extract !== null ? { extract: extractDigest } : {}), policy, site: entry.name, snapshot };
    const last = { checkpoint, ...(extract !== null ? { extract } : {}), proofs, quality, site: entry.name };
    await Promise.all([["ready", first], ["closing", last]].map(async ([kind, content]) => {
      const b = await told[kind], place = { ...await placed, type: RELEASE, kind, site: entry.name };
      need(fits(b, { ...place, content: await digest(content) }), `the ${kind} of ${entry.name} belongs elsewhere`);
    }));
    const nodes = new Map(), stands = async (data, { index, path }, what) =>
      need(same(await rootOf(index, note.size, data, path.map(unhex), nodes), note.root), `${what} does not stand in the log of ${entry.name}`);
    if (extract !== null) {
      const b = await told.extract;
      const fields = committed ? "growth,index,path,record,seen,then" : "index,path,record";
      need(Object.keys(extract).sort().join() === fields, `the extract of ${entry.name} is malformed`);
      need(Object.keys(b).sort().join() === ACTS, `the extract of ${entry.name} says other fields`);
      need(fits(b, { type: "hetao.extract/1", site: entry.name, snapshot }), `the extract of ${entry.name} belongs elsewhere`);
      await stands(utf8.encode(canonical(extract.record)), extract, "the extract");
      need(proofs.every(p => extract.index < p.index), `${entry.name} committed to its extract after a release`);
    }
    /* Each release cites the one before, and stands in the log; all of one analysis are of one input. */
    const places = new Map(proofs.map(p => [p.task, p])), own = new Map(), inputs = new Map();
    for (const one of body.rounds) if (one.receipts[entry.name]) own.set(one.task, utf8.encode(canonical(one.receipts[entry.name])));
    /* What is not among the rounds is of an attempt that was given up for a later one. */
    for (const task of places.keys()) if (!own.has(task)) {
      const parts = task.split("/"), attempt = Number(parts.at(-2)), name = parts.slice(0, -2).join("/");
      need(body.rounds.some(one => one.analysis === name && one.attempt > attempt), `a release of ${entry.name} is left out`);
    }
    await Promise.all(body.rounds.map(async one => {
      const receipt = one.receipts[entry.name];
      if (!receipt) return;
      need(places.has(one.task), `a release of ${entry.name} has no place in its log`);
      await stands(own.get(one.task), places.get(one.task), "a release");
      const parts = one.task.split("/"), number = Number(parts.pop()), b = receipt.body;
      const before = number ? own.get(`${parts.join("/")}/${number - 1}`) : utf8.encode(canonical(ready));
      need(before && b.cites === await digestOf(before), `${entry.name} does not cite what went before ${one.task}`);
      const name = parts.slice(0, -1).join("/");
      if (!inputs.has(name)) inputs.set(name, b.input);
      need(inputs.get(name) === b.input, `${entry.name} took other rows in ${one.task} than before`);
      need(canonical(b.policy) === canonical(policy) && b.snapshot === snapshot, `${entry.name} released by another policy or snapshot`);
    }));
    return extract !== null;
  })()));
  const inLog = (async () => {
    const [head, noteText] = [log.proof.slice(0, log.proof.indexOf("\n\n")), log.proof.slice(log.proof.indexOf("\n\n") + 2)];
    const [first, place, ...path] = head.split("\n");
    need(first === "c2sp.org/tlog-proof@v1" && /^index (0|[1-9][0-9]{0,14})$/.test(place), "the log's proof is malformed");
    const index = Number(place.slice(6)), note = readNote(noteText), issuer = didKey(bossKey);
    const noted = begun(signedNote(note, boss, 1, bossKey)), seen = hubs.map(hub => begun(signedNote(note, hub, 4, key(hub))));
    const [name, study, permit, findings, checks] = await digests;
    const short = issuer.slice(issuer.lastIndexOf(":") + 1);
    const header = { alg: "EdDSA", cty: "vc", kid: `${issuer}#${short}`, typ: "vc+jwt" };
    const terms = ["HetaoCertificate", "body", "checks", "findings", "permit", "sites", "software", "study"];
    const claims = {
      "@context": ["https://www.w3.org/ns/credentials/v2", Object.fromEntries(terms.map(t => [t, `urn:hetao:terms#${t}`]))],
      credentialStatus: ["revocation", "suspension"].map(purpose => ({
        statusListCredential: `urn:hetao:status:${short}:${purpose}`, statusListIndex: String(index),
        statusPurpose: purpose, type: "BitstringStatusListEntry" })),
      credentialSubject: { body: name, checks, findings, id: `urn:hetao:run:${body.run}`, permit,
        sites: body.sites.map(s => s.name).sort((a, b) => { const x = [...a], y = [...b];
          for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i].codePointAt(0) - y[i].codePointAt(0);
          return x.length - y.length; }),
        software: body.software, study },
      id: `urn:hetao:certificate:${name}`, issuer: { id: issuer, name: boss },
      type: ["VerifiableCredential", "HetaoCertificate"], validFrom: body.issued };
    const signed = url64(utf8.encode(canonical(header))) + "." + url64(utf8.encode(canonical(claims)));
    need(log.credential.startsWith(signed + "."), "the credential in the log says something else");
    const last = log.credential.slice(signed.length + 1).replace(/-/g, "+").replace(/_/g, "/");
    const raw = unbase64(last + "=".repeat((4 - last.length % 4) % 4));
    need(await holds(bossKey, raw, utf8.encode(signed)), "the credential is not its issuer's");
    need(note.origin === boss && await noted === 0, "the log did not sign its checkpoint");
    const reached = await rootOf(index, note.size, utf8.encode(log.credential), path.map(unbase64), new Map());
    need(same(reached, note.root), "the certificate does not stand in the log");
    const at = Date.parse(body.issued) / 1000;
    for (const [n, hub] of hubs.entries()) {
      const when = await seen[n];
      need(when !== null && Math.abs(when - at) <= 3600, `${hub} did not cosign the log when it was issued`);
    }
    return [index, note.size];
  })();
  const [, counts, bound, [index, size]] = await Promise.all([issued, Promise.all(rounds), Promise.all(sites), inLog]);
  return { releases: counts.reduce((a, b) => a + b, 0), sites: sites.length, bound: bound.filter(Boolean).length, index, size, hubs, boss, own };
}

/* --- the page ------------------------------------------------------------------------ */
const at = id => document.getElementById(id);
function show(language) {
  document.documentElement.lang = language;
  document.body.dataset.language = language;
  for (const one of document.querySelectorAll("button[data-language]"))
    one.setAttribute("aria-pressed", String(one.dataset.language === language));
}
async function begin() {
  const mark = (state, why) => { document.body.dataset.state = state; if (why) for (const one of document.querySelectorAll(".why")) one.textContent = why; };
  const known = ["en", "zh-Hant", "zh-Hans"];
  const asked = (location.hash.slice(1) || navigator.language || "en");
  show(known.find(k => k === asked) || (/^zh/.test(asked) ? (/TW|HK|MO|Hant/i.test(asked) ? "zh-Hant" : "zh-Hans") : "en"));
  for (const one of document.querySelectorAll("button[data-language]")) one.onclick = () => show(one.dataset.language);
  try {
    if (!subtle) { mark("unable"); return; }
    const start = performance.now();
    const words = at("words").textContent, data = unbase64(at("certificate").textContent.trim());
    const whole = sha256(joined(utf8.encode(words), data)), verified = verify(data);
    verified.catch(() => {}); // it is heard below, if the words are true
    need(hex(await whole) === document.body.dataset.digest, "the words of this page were changed");
    const found = await verified;
    const took = performance.now() - start;
    at("page").innerHTML = words;
    document.body.dataset.took = took.toFixed(1);
    document.body.dataset.byHand = String(!found.own);
    mark("valid");
  } catch (error) {
    mark("invalid", error instanceof Refused ? error.message : "it is malformed");
    at("page").textContent = "";
  }
}
globalThis.hetaoVerify = verify;
begin();
})();
