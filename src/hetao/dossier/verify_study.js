/* A study that ended well: its findings, and each site's own log. */
const SITE = "checkpoint,closing,concepts,extract,name,policy,proofs,quality,ready,side,snapshot";
/* Each analysis of the study has a finding, over one unbroken course of its rounds. */
function courses(c) {
  const { body, released, parties, canonical } = c, { lost, findings } = body;
  const asked = placed(c), logged = new Set(body.sites.map(s => s.name)), isLost = site => Object.hasOwn(lost, site);
  need(asked.length && canonical(asked) === canonical(findings.map(f => f.analysis)), "other_findings");
  once(body.sites.map(one => one.name), "site_twice");
  need(Object.getPrototypeOf(lost) === Object.prototype && Object.keys(lost).every(site => parties[site].role === "site" && typeof lost[site] === "string"), "malformed");
  released.forEach(one => one.members.forEach(site => need(logged.has(site) || isLost(site), "no_place", site)));
  findings.forEach(one => {
    const { analysis, members, rounds, withheld } = one, named = canonical(members);
    need(has(one, "analysis,finding,members,rounds,withheld") && typeof withheld === "boolean", "fields", analysis);
    const own = body.rounds.filter(one => one.analysis === analysis), last = Math.max(...own.map(one => one.attempt));
    const course = own.filter(one => one.attempt === last);
    need(own.length && course.length === rounds && course.every((one, i) => one.round === i), "round_missing", analysis);
    need(course.every(one => canonical(one.members) === named), "other_members", analysis);
    need(members.every(site => logged.has(site) && !isLost(site)), "no_log", analysis);
  });
}
function counted({ body, permit }) {
  const counts = body.sealed_counts ?? [], sealed = one => one.protocol === COUNT;
  need(permit.protocols.some(one => one.name === COUNT) === Object.hasOwn(body, "sealed_counts"), "counts_missing");
  need(!body.rounds.some(sealed) && counts.every(one => sealed(one) && one.round === 0), "count_misplaced");
}
const ACTS = "acts,at,dictionary,mapping,people,root,site,snapshot,type,vocabulary";

/* A site's log: each of its releases stands there and cites the one before. Returns its checkpoint. `leaves` are of
   what was signed. */
function logOf({ body, released, ask }, { name, checkpoint, extract, proofs, ready }, leaves) {
  const note = readNote(checkpoint), nodes = new Map(), own = new Map(), places = new Map();
  const stands = (leaf, { index, path }, what) =>
    ask(beside(rootOf(index, note.size, leaf, path, nodes)), note.root, what, name);
  const cited = statement => digest(leaves.get(statement).subarray(1));
  proofs.forEach(proof => places.set(proof.task, proof));
  if (extract !== null) stands(leaves.get(extract.record), extract, "extract_not_in_log");
  const mine = released.filter(one => Object.hasOwn(one.receipts, name)), begun = cited(ready);
  mine.forEach(({ task, receipts }) => {
    need(places.has(task), "no_place", name);
    own.set(task, receipts[name]);
    stands(leaves.get(receipts[name]), places.get(task), "release_not_in_log");
  });
  mine.forEach(({ task, receipts }) => {
    const parts = task.split("/"), end = parts.pop(), number = COUNTED.includes(end) ? 0 : Number(end);
    const before = number ? own.get(`${parts.join("/")}/${number - 1}`) : ready;
    need(before !== undefined, "not_cited", name, task);
    ask(number ? cited(before) : begun, receipts[name].body.cites, "not_cited", name, task);
  });
  /* What is not among the rounds is of an attempt that was given up for a later one. */
  places.forEach((_, task) => {
    if (own.has(task)) return;
    const parts = task.split("/"), attempt = Number(parts.at(-2)), analysis = parts.slice(0, -2).join("/");
    need(body.rounds.some(one => one.analysis === analysis && one.attempt > attempt), "left_out", name);
  });
  return note;
}
/* What a site said of itself, first and last, and of its rows: the same in all that it released. */
function siteOf(c, entry, note, bound, run) {
  const { name, snapshot, policy, concepts, quality, checkpoint, proofs, extract, ready, closing } = entry;
  const { committed } = c.permit, inputs = new Map(), rules = c.canonical(policy), none = extract === null;
  need(has(entry, SITE) && Array.isArray(concepts), "fields", name);
  need(proofs.every(proof => has(proof, "index,path,task") && Number.isInteger(proof.index)), "fields", name);
  need(entry.side === c.parties[name].side, "other_side", name);
  once(proofs.map(p => p.task), "round_twice");
  need(note.origin === name, "log_unsigned", name);
  c.ask(beside(signedNote(note, name, 1, c.parties[name].key)), 0, "log_unsigned", name);
  need(!none || !committed, "not_committed", name);
  const first = {
    ...(concepts.length ? { concepts } : {}), dictionary: c.body.study.dictionary,
    ...(none ? {} : { extract: bound }), policy, site: name, snapshot };
  const last = { checkpoint, ...(none ? {} : { extract }), proofs, quality, site: name };
  const says = (kind, { body: said }, content) => {
    need(fits(said, { ...run, type: RELEASE, kind, site: name }), "word_elsewhere", name);
    c.ask(digest(c.bytes(content)), said.content, "other_word", name);
  };
  says("ready", ready, first);
  says("closing", closing, last);
  if (!none) {
    const said = extract.record.body, fields = committed ? "growth,index,path,record,seen,then" : "index,path,record";
    need(has(extract, fields) && has(said, ACTS), "fields", name);
    need(fits(said, { type: "hetao.extract/1", site: name, snapshot }), "extract_elsewhere", name);
    need(proofs.every(p => extract.index < p.index), "committed_late", name);
  }
  c.released.forEach(({ task, receipts }) => {
    if (!Object.hasOwn(receipts, name)) return;
    const said = receipts[name].body, analysis = task.split("/").slice(0, -2).join("/");
    if (!inputs.has(analysis)) inputs.set(analysis, said.input);
    need(inputs.get(analysis) === said.input, "other_rows", name, task);
    need(c.canonical(said.policy) === rules && said.snapshot === snapshot, "other_policy", name);
  });
}
async function verify(data) {
  const c = opened(data, STUDY), { body, log, signature, permit, hubs, boss, bytes, says } = c, { sites } = body;
  const digests = Promise.all([c.whole, ...[body.study, permit, body.findings, body.checks].map(bytes)].map(digestOf));
  const bound = Promise.all(sites.map(({ extract }) =>
    extract && digestOf(bytes(permit.committed ? { record: extract.record, seen: extract.seen } : extract.record))));
  await c.keysReady();
  const leaves = c.saysAll(new Map()); // of statements that a log may hold
  sites.forEach(({ name, ready, closing, extract }) =>
    [ready, closing, extract && extract.record].forEach(told => { if (told !== null) leaves.set(told, says(name, told)); }));
  const notes = sites.map(entry => logOf(c, entry, leaves));
  courses(c);
  const found = await digests, rows = await bound, run = { run: body.run, study: found[1], permit: found[2] };
  need(permit.study === found[1], "other_study");
  says(boss, { body: { body: found[0], log, type: "hetao.signed-certificate/1" }, signature });
  const place = inLog(c, "HetaoCertificate", found, { findings: found[3], checks: found[4], sites: sites.map(s => s.name) });
  sites.forEach((entry, i) => siteOf(c, entry, notes[i], rows[i], run));
  const count = releases(c, run, true);
  counted(c);
  await c.answered();
  return { releases: count, sites: notes.length, bound: rows.filter(Boolean).length, ...place, hubs, boss, own };
}
