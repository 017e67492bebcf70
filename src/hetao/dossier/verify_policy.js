/* Whether a certificate counts by its reader's own policy: docs/specs/log.md#policy, by the rules of ledger/policy.py
   and of verify_log.py. Text in the page until its reader chooses a file: script.py makes one function of this,
   verify_mldsa.js and verify_ed25519.js, which verify_page.js has run. */
const LARGEST = 2 ** 20, NONE = "none", LOG = 1, WITNESS = 4, MLDSA = 6;
const WORDS = new Map([["log", [1, 2]], ["witness", [2, 3]], ["group", [3, LARGEST]], ["quorum", [1, 1]]]);
const octets = text => Uint8Array.from(text, c => c.charCodeAt(0));
/* A name for a reader's eyes: what hides or turns others is told. */
const shown = name => name.replace(/[\p{C}\p{Z}]/gu, c => `\\u{${c.codePointAt(0).toString(16)}}`);
const named = name => shown(new TextDecoder().decode(octets(name)));

/* --- the text: in `text` each octet is one character, for those above ASCII are opaque ------------- */
async function keyIn(text, kinds, keys, line) {
  let name, id, raw;
  try {
    const [, first, known, packed] = /^([^+]*)\+([^+]*)\+(.*)$/.exec(text);
    name = textOf(octets(first)); raw = unbase64(packed);
    id = (await sha256(joined(utf8.encode(name + "\n"), raw))).slice(0, 4);
    need(hex(id) === known, "policy_key", line);
  } catch { throw new Refused("policy_key", line); }
  const [kind] = raw, key = raw.slice(1), packed = base64(key);
  need(NAME.test(name) && kinds.includes(kind), "policy_key", line);
  need(kind === MLDSA ? key.length === 1312 && utf8.encode(name).length < 256 : isStrong(key), "policy_key", line);
  need(!keys.has(packed), "policy_twice", line);
  keys.add(packed);
  return { name, kind, id, key, packed };
}
async function readPolicy(data) {
  need(data.length <= LARGEST, "policy_large");
  let text = "";
  for (const one of data) {
    need(one === 9 || one === 10 || one >= 32 && one !== 127, "policy_control");
    text += String.fromCharCode(one);
  }
  need(!text || text.endsWith("\n"), "policy_cut");
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null }, keys = new Set(), taken = new Set();
  const known = name => policy.witnesses.has(name) || policy.groups.has(name);
  for (const [at, whole] of text.split("\n").entries()) {
    const line = String(at + 1), [what, ...words] = whole.split(/[ \t]+/).filter(Boolean);
    if (what === undefined || what.startsWith("#")) continue;
    const [least, most] = WORDS.get(what) ?? [1, 0], [name, second, ...members] = words;
    need(least <= words.length && words.length <= most, "policy_line", line);
    if (what === "log") { policy.logs.push(await keyIn(name, [LOG, MLDSA], keys, line)); continue; }
    if (what === "quorum") {
      need(policy.quorum === null, "policy_twice", line);
      need(name === NONE || known(name), "policy_unknown", line);
      policy.quorum = name;
      continue;
    }
    need(name !== NONE && !known(name), "policy_twice", line);
    if (what === "witness") { policy.witnesses.set(name, await keyIn(second, [WITNESS, MLDSA], keys, line)); continue; }
    const counts = new Map([["all", members.length], ["any", 1]]), plain = /^[1-9][0-9]{0,8}$/.test(second);
    const needed = counts.get(second) ?? (plain ? Number(second) : 0);
    need(1 <= needed && needed <= members.length, "policy_group", line);
    for (const one of members) {
      need(known(one), "policy_unknown", line);
      need(!taken.has(one), "policy_twice", line); // else a witness could count twice
      taken.add(one);
    }
    policy.groups.set(name, [needed, members]);
  }
  need(policy.quorum !== null, "policy_quorum");
  return policy;
}

/* --- who signed a checkpoint ---------------------------------------------------------------------- */
const big = (n, length) => Uint8Array.from({ length }, (_, i) => Number(BigInt(n) >> BigInt(8 * (length - 1 - i)) & 255n));
const counted = name => { const raw = utf8.encode(name); return joined([raw.length], raw); };
/* Whether a key signed. Every line that bears its name and id has to hold. */
async function signedBy(note, { name, kind, id, key, packed }) {
  let found = false;
  for (const { who, data } of note.signed) if (who === name && same(data.slice(0, 4), id)) {
    const said = data.slice(4), when = kind === LOG ? 0n : BigInt("0x0" + hex(said.slice(0, 8)));
    need(when < 2n ** 63n, "log_signature", shown(name));
    let good = false;
    if (kind === MLDSA) {
      const place = joined(big(when, 8), counted(note.origin), new Uint8Array(8), big(note.size, 8), unhex(note.root));
      good = holds44(key, said.slice(8), joined(utf8.encode("subtree/v1\n\0"), counted(name), place));
    } else {
      const ready = keyOf(packed), message = kind === LOG ? note.text : `cosignature/v1\ntime ${when}\n${note.text}`;
      await ready.ready;
      good = await holds(ready, kind === LOG ? said : said.slice(8), utf8.encode(message));
    }
    need(good, "log_signature", shown(name));
    found = true;
  }
  return found;
}
/* Which witnesses of a policy saw a log that it lists, and that signed by a key of each kind that is listed. */
async function checkLog({ logs, witnesses }, note) {
  const asked = new Set(), found = new Set(), seen = new Set();
  for (const log of logs) {
    const signed = await signedBy(note, log);
    if (log.name !== note.origin) continue;
    asked.add(log.kind);
    if (signed) found.add(log.kind);
  }
  for (const [name, witness] of witnesses) if (await signedBy(note, witness)) seen.add(name);
  const origin = shown(note.origin);
  need(asked.size, "policy_no_log", origin);
  need(found.size, "policy_other_key", origin);
  need(found.has(LOG) || !asked.has(LOG), "policy_no_first", origin);
  need(found.has(MLDSA) || !asked.has(MLDSA), "policy_no_second", origin);
  return seen;
}
function isMet({ groups, quorum }, seen) {
  const found = new Set(seen);
  for (const [name, [needed, members]] of groups) // each stands after its members
    if (members.filter(one => found.has(one)).length >= needed) found.add(name);
  return quorum === NONE || found.has(quorum);
}
/* Who saw a certificate, and whether they are parties of its study by name or by key, all of them. */
async function judged({ body, log }, data) {
  const policy = await readPolicy(data), { parties } = body.permit.permit;
  const seen = await checkLog(policy, readNote(log.proof.slice(log.proof.indexOf("\n\n") + 2)));
  const names = [...seen].map(named), told = names.join(", "), quorum = named(policy.quorum), met = isMet(policy, seen);
  need(met || names.length, "policy_unseen", quorum);
  need(met, "policy_below", told, quorum);
  for (const { name, checkpoint } of body.sites ?? []) // as hetao verify asks for the second lines of sites
    if (policy.logs.some(one => one.kind === MLDSA && one.name === name)) await checkLog(policy, readNote(checkpoint));
  const theirs = new Set(parties.map(one => one.name)), keys = new Set(parties.map(one => one.sign));
  const others = [...seen].map(one => policy.witnesses.get(one)).filter(one => !theirs.has(one.name) && !keys.has(one.packed));
  return { names, alone: !others.length };
}
