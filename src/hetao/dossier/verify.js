//# allFunctionsCalledOnLoad
"use strict";
/* Checks the certificate that this page holds, by itself: no network, no library.
   Steps as in docs/specs/certificate.md; what is left out stands in the page.
   Whoever opens a page runs this once, before a browser has made it fast: so digests and signatures are the
   browser's own and are begun early, beside this script, and the first line has it read each function once. */
(() => {
const start = performance.now();
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
const sha256 = data => sha("SHA-256", data);

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
/* A key, made ready beside: null if it is none, or if the browser knows no such keys. */
function keyOf(text) {
  const raw = unbase64(text), key = { raw, native: null, ready: null };
  const mine = error => { if (error.name === "NotSupportedError" || error.name === "SyntaxError") own = false; };
  if (own) key.ready = subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]).then(made => { key.native = made; }, mine);
  return key;
}
/* Or a promise of it. The key is ready. */
function holds({ raw, native }, signature, message) {
  if (raw.length !== 32 || signature.length !== 64) return false;
  if (!own) return holdsByHand(raw, signature, message);
  return native !== null && subtle.verify("Ed25519", native, signature, message);
}

/* --- the log ------------------------------------------------------------------------ */
/* Where a path leads. `nodes` are those of this tree that were hashed before: paths of one tree share many. */
async function rootOf(index, size, entry, path, nodes) {
  need(index >= 0 && index < size, "the entry lies outside the log");
  let at = index, last = size - 1, reached = await sha256(joined([0], entry));
  for (const sibling of path) {
    need(last > 0, "the path is longer than the log is deep");
    const right = at % 2 || at === last;
    const both = right ? joined([1], sibling, reached) : joined([1], reached, sibling), name = hex(both);
    if (!nodes.has(name)) nodes.set(name, sha256(both));
    if (right) while (at && at % 2 === 0) { at = Math.floor(at / 2); last = Math.floor(last / 2); }
    reached = await nodes.get(name);
    at = Math.floor(at / 2); last = Math.floor(last / 2);
  }
  need(last === 0, "the path is shorter than the log is deep");
  return base64(reached);
}
function readNote(note) {
  const cut = note.lastIndexOf("\n\n");
  need(cut >= 0, "a note is malformed");
  const text = note.slice(0, cut + 1), lines = note.slice(cut + 2).split("\n");
  need(lines.pop() === "" && lines.length && lines.length <= 100, "a note is malformed");
  const [origin, size, root, end, more] = text.split("\n");
  need(end === "" && more === undefined && /^(0|[1-9][0-9]{0,14})$/.test(size), "a checkpoint is malformed");
  const signed = lines.map(line => {
    const [dash, name, packed, more] = line.split(" ");
    need(dash === "\u2014" && packed !== undefined && more === undefined && /^[^+\x00-\x20]+$/.test(name), "a signature line is malformed");
    return [name, unbase64(packed)];
  });
  unbase64(root);
  return { text, origin, size: Number(size), root, signed };
}
async function signedNote(note, name, kind, key) {
  const id = (await sha256(joined(utf8.encode(name + "\n"), [kind], key.raw))).slice(0, 4);
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
const fields = (value, names, what) => need(Object.keys(value).sort().join() === names, `${what} holds other fields`);
const ROUND = "analysis,attempt,members,protocol,receipts,round,task,totals";
const SITE = "checkpoint,closing,concepts,extract,name,policy,proofs,quality,ready,side,snapshot";
/* Each analysis of the study has a finding, over one unbroken course of its rounds. */
function courses({ body, parties, canonical }) {
  const asked = body.study.analyses.map(a => a.name), logged = new Set(body.sites.map(s => s.name));
  need(asked.length && canonical(asked) === canonical(body.findings.map(f => f.analysis)), "the findings are not those of the study");
  const once = (all, words) => need(new Set(all).size === all.length, words);
  once(body.rounds.map(one => one.task), "a round stands twice");
  once(body.rounds.map(one => canonical([one.analysis, one.attempt, one.round])), "a round stands twice");
  once(body.sites.map(one => one.name), "a site stands twice");
  need(Object.getPrototypeOf(body.lost) === Object.prototype && Object.entries(body.lost).every(([site, why]) => parties[site].role === "site" && typeof why === "string"), "who is lost is malformed");
  for (const one of released(body)) {
    fields(one, ROUND, one.task);
    need(asked.includes(one.analysis), "a round is of no analysis of the study");
    for (const site of one.members) need(logged.has(site) || Object.hasOwn(body.lost, site), `a release of ${site} has no place in a log`);
  }
  for (const one of body.findings) {
    const { analysis, members, rounds, withheld } = one;
    fields(one, "analysis,finding,members,rounds,withheld", analysis);
    need(typeof withheld === "boolean", `${analysis} does not say whether it is withheld`);
    const own = body.rounds.filter(one => one.analysis === analysis), last = Math.max(...own.map(one => one.attempt));
    const course = own.filter(one => one.attempt === last);
    need(own.length && course.length === rounds && course.every((one, i) => one.round === i), `${analysis} lacks a round`);
    need(course.every(one => canonical(one.members) === canonical(members)), `${analysis} counts other members than its rounds`);
    need(members.every(site => logged.has(site) && !Object.hasOwn(body.lost, site)), `${analysis} counts a site that has no log here`);
  }
}
/* The parts of a certificate, and what is asked about them. Digests and signatures are made beside this script:
   each is a promise, with the one good answer and words for any other. What stands there is looked at meanwhile;
   all of it has to hold. */
function opened(data) {
  let value, text;
  try { text = text8.decode(data); value = JSON.parse(text); } catch { throw new Refused("it is not JSON"); }
  need(Object.keys(value).sort().join() === "body,log,signature,sums", "not a certificate");
  const { body, log, signature, sums } = value, permit = body.permit.permit;
  need(body.type !== "hetao.revoked-certificate/1", "this study was REVOKED: check its certificate with hetao verify");
  need(body.type === "hetao.certificate/3", "not a certificate of a known type");
  need(!Object.keys(sums).length, "a page holds no integers");
  fields(body.permit, "notices,permit", "the permit");
  need(typeof body.software === "string", "the software is no text");
  const parties = Object.fromEntries(permit.parties.map(p => [p.name, { role: p.role, side: p.side, key: keyOf(p.sign) }]));
  need(Object.keys(parties).length === permit.parties.length, "a party stands twice");
  const hubs = permit.parties.filter(p => p.role === "hub").map(p => p.name);
  const bosses = permit.parties.filter(p => p.role === "coordinator").map(p => p.name);
  need(hubs.length === 2 && bosses.length === 1, "not one coordinator and two hubs");
  const canonical = writing(value), bytes = value => utf8.encode(canonical(value)), asked = [], whole = canonical(body);
  const rest = `"log":${canonical(log)},"signature":${canonical(signature)},"sums":{}`;
  need(`{"body":${whole},${rest}}` === text, "the text is not in canonical form");
  const ask = (promise, good, words) => { promise.catch?.(() => {}); asked.push([promise, good, words]); };
  const said = new Map(); // statement → the text of its body
  function says(name, statement) {
    need(Object.keys(statement).join() === "body,signature", "a statement is malformed");
    said.set(statement, canonical(statement.body));
    const message = utf8.encode("hetao-statement-v1\n" + said.get(statement));
    ask(holds(parties[name].key, unbase64(statement.signature), message), true, `${name} did not sign what stands here`);
  }
  const textOf = statement => utf8.encode(`{"body":${said.get(statement)},"signature":${canonical(statement.signature)}}`);
  async function answered() {
    const found = await Promise.all(asked.map(([promise]) => promise));
    for (const [i, [, good, words]] of asked.entries()) need(found[i] === good, words);
  }
  return { body, whole, log, signature, permit, parties, hubs, boss: bosses[0], canonical, bytes, ask, says, textOf, answered };
}
const fits = (said, place) => Object.keys(place).every(k => said[k] === place[k]);
const RELEASE = "hetao.release/2", ACTS = "acts,at,dictionary,mapping,people,root,site,snapshot,type,vocabulary";

/* What sites released: for the rounds, and for the sealed counts before them, which nobody opened. */
function released({ rounds, sealed_counts: counts = [] }) { return [...rounds, ...counts]; }
function counted({ body, permit }) {
  const counts = body.sealed_counts ?? [], own = one => one.protocol === "sealed_count";
  need(permit.protocols.some(one => one.name === "sealed_count") === Object.hasOwn(body, "sealed_counts"), "sealed counts are missing, or nobody permitted them");
  need(!body.rounds.some(own), "a sealed count stands among what was opened");
  for (const one of counts) {
    need(own(one) && one.round === 0 && one.task === `${one.analysis}/${one.attempt}/count`, "what stands among the sealed counts is none");
    const [first, second] = Object.values(one.totals).map(told => told.body);
    need(["cell", "combinations", "control"].every(k => first[k] === second[k]), `${one.task} is of two counts`);
  }
  need(new Set(counts.map(one => one.task)).size === counts.length, "a sealed count stands twice");
}
/* Each release and each sum is signed, of this place, and they fit. */
function releases({ body, parties, hubs, canonical }, run) {
  let count = 0;
  for (const one of released(body)) {
    const { task, analysis, attempt, round, members, receipts, totals } = one;
    const place = { ...run, task, analysis, attempt, round };
    need(Object.keys(receipts).sort().join() === [...members].sort().join(), `${task} lacks a release`);
    need(Object.keys(totals).sort().join() === [...hubs].sort().join(), `${task} lacks a sum`);
    need(members.length, `${task} has no member`);
    const named = canonical(members);
    for (const site of members) {
      const said = receipts[site].body;
      need(parties[site].role === "site", `${site} is not a site`);
      need(fits(said, { ...place, type: RELEASE, kind: "sum", site }) && canonical(said.members) === named, `a release of ${site} belongs elsewhere`);
      count++;
    }
    for (const hub of hubs) {
      const said = totals[hub].body, shares = Object.entries(said.shares);
      const these = shares.length === members.length && shares.every(([site, share]) => share === receipts[site].body.shares[hub]);
      const type = one.protocol === "sealed_count" ? "hetao.sealed-count/1" : "hetao.total/1";
      need(fits(said, { ...place, type, hub }) && these, `${hub} summed something else in ${task}`);
    }
  }
  return count;
}
/* A site's log: each of its releases stands there and cites the one before. Returns its checkpoint. */
function logOf({ body, textOf, ask }, { name, checkpoint, extract, proofs, ready }) {
  const note = readNote(checkpoint), nodes = new Map(), own = new Map(), places = new Map(proofs.map(p => [p.task, p]));
  const stands = (data, { index, path }, what) =>
    ask(rootOf(index, note.size, data, path.map(unhex), nodes), note.root, `${what} does not stand in the log of ${name}`);
  if (extract !== null) stands(textOf(extract.record), extract, "the extract");
  for (const { task, receipts } of released(body)) if (receipts[name]) {
    need(places.has(task), `a release of ${name} has no place in its log`);
    own.set(task, textOf(receipts[name]));
    stands(own.get(task), places.get(task), "a release");
  }
  for (const { task, receipts } of released(body)) if (receipts[name]) {
    const parts = task.split("/"), end = parts.pop(), number = end === "count" ? 0 : Number(end);
    const before = number ? own.get(`${parts.join("/")}/${number - 1}`) : textOf(ready);
    need(before, `${name} does not cite what went before ${task}`);
    ask(digestOf(before), receipts[name].body.cites, `${name} does not cite what went before ${task}`);
  }
  /* What is not among the rounds is of an attempt that was given up for a later one. */
  for (const task of places.keys()) if (!own.has(task)) {
    const parts = task.split("/"), attempt = Number(parts.at(-2)), analysis = parts.slice(0, -2).join("/");
    need(body.rounds.some(one => one.analysis === analysis && one.attempt > attempt), `a release of ${name} is left out`);
  }
  return note;
}
/* What a site said of itself, first and last, and of its rows: the same in all that it released. */
function siteOf(c, entry, note, bound, run) {
  const { name, snapshot, policy, concepts, quality, checkpoint, proofs, extract, ready, closing } = entry;
  const { committed } = c.permit, inputs = new Map(), rules = c.canonical(policy);
  fields(entry, SITE, name);
  need(entry.side === c.parties[name].side, `${name} is on another side`);
  for (const proof of proofs) fields(proof, "index,path,task", name);
  need(new Set(proofs.map(p => p.task)).size === proofs.length, `${name} gives a place twice`);
  need(note.origin === name, `the checkpoint of ${name} is not its own`);
  c.ask(signedNote(note, name, 1, c.parties[name].key), 0, `the checkpoint of ${name} is not its own`);
  need(extract !== null || !committed, `${name} had not committed`);
  const first = {
    ...(concepts.length ? { concepts } : {}), dictionary: c.body.study.dictionary,
    ...(extract !== null ? { extract: bound } : {}), policy, site: name, snapshot };
  const last = { checkpoint, ...(extract !== null ? { extract } : {}), proofs, quality, site: name };
  for (const [kind, { body: said }, content] of [["ready", ready, first], ["closing", closing, last]]) {
    need(fits(said, { ...run, type: RELEASE, kind, site: name }), `the ${kind} of ${name} belongs elsewhere`);
    c.ask(digestOf(c.bytes(content)), said.content, `the ${kind} of ${name} is of other things`);
  }
  if (extract !== null) {
    const said = extract.record.body, fields = committed ? "growth,index,path,record,seen,then" : "index,path,record";
    need(Object.keys(extract).sort().join() === fields, `the extract of ${name} is malformed`);
    need(Object.keys(said).sort().join() === ACTS, `the extract of ${name} says other fields`);
    need(fits(said, { type: "hetao.extract/1", site: name, snapshot }), `the extract of ${name} belongs elsewhere`);
    need(proofs.every(p => extract.index < p.index), `${name} committed to its extract after a release`);
  }
  for (const { task, receipts } of released(c.body)) if (receipts[name]) {
    const said = receipts[name].body, analysis = task.split("/").slice(0, -2).join("/");
    if (!inputs.has(analysis)) inputs.set(analysis, said.input);
    need(inputs.get(analysis) === said.input, `${name} took other rows in ${task} than before`);
    need(c.canonical(said.policy) === rules && said.snapshot === snapshot, `${name} released by another policy or snapshot`);
  }
}
/* The credential of exactly this certificate stands in its issuer's log, seen by both hubs. */
function inLog({ body, log, parties, hubs, boss, canonical, ask }, [name, study, permit, findings, checks]) {
  const cut = log.proof.indexOf("\n\n"), [first, place, ...path] = log.proof.slice(0, cut).split("\n");
  need(first === "c2sp.org/tlog-proof@v1" && /^index (0|[1-9][0-9]{0,14})$/.test(place), "the log's proof is malformed");
  const index = Number(place.slice(6)), note = readNote(log.proof.slice(cut + 2)), bossKey = parties[boss].key, issuer = didKey(bossKey.raw);
  need(note.origin === boss, "the log did not sign its checkpoint");
  ask(signedNote(note, boss, 1, bossKey), 0, "the log did not sign its checkpoint");
  const at = Date.parse(body.issued) / 1000;
  need(new Date(at * 1000).toISOString() === body.issued.replace("Z", ".000Z"), "a time is written in another form");
  for (const hub of hubs)
    ask(signedNote(note, hub, 4, parties[hub].key).then(when => when !== null && Math.abs(when - at) <= 3600), true, `${hub} did not cosign the log when it was issued`);
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
  ask(holds(bossKey, raw, utf8.encode(signed)), true, "the credential is not its issuer's");
  ask(rootOf(index, note.size, utf8.encode(log.credential), path.map(unbase64), new Map()), note.root, "the certificate does not stand in the log");
  return [index, note.size];
}
async function verify(data) {
  const c = opened(data), { body, log, signature, permit, parties, hubs, boss, bytes } = c;
  const parts = [body.study, permit, body.findings, body.checks].map(bytes);
  const digests = Promise.all([utf8.encode(c.whole), ...parts].map(digestOf));
  const bound = Promise.all(body.sites.map(({ extract }) =>
    extract && digestOf(bytes(permit.committed ? { record: extract.record, seen: extract.seen } : extract.record))));
  await Promise.all(Object.values(parties).map(party => party.key.ready));
  for (const { receipts, totals } of released(body))
    for (const told of [receipts, totals]) for (const name in told) c.says(name, told[name]);
  for (const { name, ready, closing, extract } of body.sites)
    for (const told of extract === null ? [ready, closing] : [ready, closing, extract.record]) c.says(name, told);
  const notes = body.sites.map(entry => logOf(c, entry));
  courses(c);
  const found = await digests, rows = await bound, run = { run: body.run, study: found[1], permit: found[2] };
  need(permit.study === found[1], "the permit is for another study");
  c.says(boss, { body: { body: found[0], log, type: "hetao.signed-certificate/1" }, signature });
  const [index, size] = inLog(c, found);
  for (const [i, entry] of body.sites.entries()) siteOf(c, entry, notes[i], rows[i], run);
  const count = releases(c, run);
  counted(c);
  await c.answered();
  return { releases: count, sites: notes.length, bound: rows.filter(Boolean).length, index, size, hubs, boss, own };
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
    const words = at("words").textContent, packed = at("certificate").textContent;
    const verified = verify(unbase64(packed)), whole = sha256(utf8.encode(words + packed));
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
