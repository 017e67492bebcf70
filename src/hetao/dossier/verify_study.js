/* A study that ended well: its findings, and each site's own log. */
const SITE = "checkpoint,closing,concepts,extract,name,policy,proofs,quality,ready,side,snapshot";
/* Each analysis of the study has a finding, over one unbroken course of its rounds. */
function courses(c) {
  const { body, parties, canonical } = c;
  const asked = placed(c), logged = new Set(body.sites.map(s => s.name));
  need(asked.length && canonical(asked) === canonical(body.findings.map(f => f.analysis)), "other_findings");
  once(body.sites.map(one => one.name), "site_twice");
  need(Object.getPrototypeOf(body.lost) === Object.prototype && Object.entries(body.lost).every(([site, why]) => parties[site].role === "site" && typeof why === "string"), "malformed");
  for (const one of released(body)) {
    for (const site of one.members) need(logged.has(site) || Object.hasOwn(body.lost, site), "no_place", site);
  }
  for (const one of body.findings) {
    const { analysis, members, rounds, withheld } = one;
    need(has(one, "analysis,finding,members,rounds,withheld") && typeof withheld === "boolean", "fields", analysis);
    const own = body.rounds.filter(one => one.analysis === analysis), last = Math.max(...own.map(one => one.attempt));
    const course = own.filter(one => one.attempt === last);
    need(own.length && course.length === rounds && course.every((one, i) => one.round === i), "round_missing", analysis);
    need(course.every(one => canonical(one.members) === canonical(members)), "other_members", analysis);
    need(members.every(site => logged.has(site) && !Object.hasOwn(body.lost, site)), "no_log", analysis);
  }
}
function counted({ body, permit }) {
  const counts = body.sealed_counts ?? [], sealed = one => one.protocol === COUNT;
  need(permit.protocols.some(one => one.name === COUNT) === Object.hasOwn(body, "sealed_counts"), "counts_missing");
  need(!body.rounds.some(sealed) && counts.every(one => sealed(one) && one.round === 0), "count_misplaced");
}
const ACTS = "acts,at,dictionary,mapping,people,root,site,snapshot,type,vocabulary";

/* A site's log: each of its releases stands there and cites the one before. Returns its checkpoint. `leaves` are of
   what was signed. */
function logOf({ body, ask }, { name, checkpoint, extract, proofs, ready }, leaves) {
  const note = readNote(checkpoint), nodes = new Map(), own = new Map(), places = new Map(proofs.map(p => [p.task, p]));
  const stands = (leaf, { index, path }, what) =>
    ask(rootOf(index, note.size, leaf, path, nodes), note.root, what, name);
  if (extract !== null) stands(leaves.get(extract.record), extract, "extract_not_in_log");
  for (const { task, receipts } of released(body)) if (Object.hasOwn(receipts, name)) {
    need(places.has(task), "no_place", name);
    own.set(task, leaves.get(receipts[name]));
    stands(own.get(task), places.get(task), "release_not_in_log");
  }
  const begun = digest(leaves.get(ready).subarray(1));
  for (const { task, receipts } of released(body)) if (Object.hasOwn(receipts, name)) {
    const parts = task.split("/"), end = parts.pop(), number = COUNTED.includes(end) ? 0 : Number(end);
    const before = number ? own.get(`${parts.join("/")}/${number - 1}`) : null;
    need(before !== undefined, "not_cited", name, task);
    ask(number ? digest(before.subarray(1)) : begun, receipts[name].body.cites, "not_cited", name, task);
  }
  /* What is not among the rounds is of an attempt that was given up for a later one. */
  for (const task of places.keys()) if (!own.has(task)) {
    const parts = task.split("/"), attempt = Number(parts.at(-2)), analysis = parts.slice(0, -2).join("/");
    need(body.rounds.some(one => one.analysis === analysis && one.attempt > attempt), "left_out", name);
  }
  return note;
}
/* What a site said of itself, first and last, and of its rows: the same in all that it released. */
function siteOf(c, entry, note, bound, run) {
  const { name, snapshot, policy, concepts, quality, checkpoint, proofs, extract, ready, closing } = entry;
  const { committed } = c.permit, inputs = new Map(), rules = c.canonical(policy);
  need(has(entry, SITE) && Array.isArray(concepts), "fields", name);
  need(proofs.every(proof => has(proof, "index,path,task") && Number.isInteger(proof.index)), "fields", name);
  need(entry.side === c.parties[name].side, "other_side", name);
  once(proofs.map(p => p.task), "round_twice");
  need(note.origin === name, "log_unsigned", name);
  c.ask(signedNote(note, name, 1, c.parties[name].key), 0, "log_unsigned", name);
  need(extract !== null || !committed, "not_committed", name);
  const first = {
    ...(concepts.length ? { concepts } : {}), dictionary: c.body.study.dictionary,
    ...(extract !== null ? { extract: bound } : {}), policy, site: name, snapshot };
  const last = { checkpoint, ...(extract !== null ? { extract } : {}), proofs, quality, site: name };
  for (const [kind, { body: said }, content] of [["ready", ready, first], ["closing", closing, last]]) {
    need(fits(said, { ...run, type: RELEASE, kind, site: name }), "word_elsewhere", name);
    c.ask(digest(c.bytes(content)), said.content, "other_word", name);
  }
  if (extract !== null) {
    const said = extract.record.body, fields = committed ? "growth,index,path,record,seen,then" : "index,path,record";
    need(has(extract, fields) && has(said, ACTS), "fields", name);
    need(fits(said, { type: "hetao.extract/1", site: name, snapshot }), "extract_elsewhere", name);
    need(proofs.every(p => extract.index < p.index), "committed_late", name);
  }
  for (const { task, receipts } of released(c.body)) if (Object.hasOwn(receipts, name)) {
    const said = receipts[name].body, analysis = task.split("/").slice(0, -2).join("/");
    if (!inputs.has(analysis)) inputs.set(analysis, said.input);
    need(inputs.get(analysis) === said.input, "other_rows", name, task);
    need(c.canonical(said.policy) === rules && said.snapshot === snapshot, "other_policy", name);
  }
}
async function verify(data) {
  const c = opened(data, STUDY), { body, log, signature, permit, parties, hubs, boss, bytes } = c;
  const parts = [body.study, permit, body.findings, body.checks].map(bytes);
  const digests = Promise.all([c.whole, ...parts].map(digestOf));
  const bound = Promise.all(body.sites.map(({ extract }) =>
    extract && digestOf(bytes(permit.committed ? { record: extract.record, seen: extract.seen } : extract.record))));
  await Promise.all(Object.values(parties).map(party => party.key.ready));
  const leaves = new Map(); // of statements that a log may hold
  for (const { receipts, totals } of released(body))
    for (const told of [receipts, totals]) for (const name in told) leaves.set(told[name], c.says(name, told[name]));
  for (const { name, ready, closing, extract } of body.sites)
    for (const told of extract === null ? [ready, closing] : [ready, closing, extract.record]) leaves.set(told, c.says(name, told));
  const notes = body.sites.map(entry => logOf(c, entry, leaves));
  courses(c);
  const found = await digests, rows = await bound, run = { run: body.run, study: found[1], permit: found[2] };
  need(permit.study === found[1], "other_study");
  c.says(boss, { body: { body: found[0], log, type: "hetao.signed-certificate/1" }, signature });
  const [index, size] = inLog(c, "HetaoCertificate", found, { findings: found[3], checks: found[4], sites: body.sites.map(s => s.name) });
  for (const [i, entry] of body.sites.entries()) siteOf(c, entry, notes[i], rows[i], run);
  const count = releases(c, run, true);
  counted(c);
  await c.answered();
  return { releases: count, sites: notes.length, bound: rows.filter(Boolean).length, index, size, hubs, boss, own };
}
