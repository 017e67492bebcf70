/* A study that was revoked: who ended it and when, and what had been released by then. */
const ENDED = "issued,permit,revoked,rounds,run,software,study,type", NOTICE = "hetao.notice/2", SKEW = 300;
const only = found => { need(found.length === 1, "malformed"); return found[0]; };
/* A notice that ends the permit: of a person of it, in an office that must approve, by a key that counted then. */
async function ending({ permit, says }, statement, digest) {
  const said = statement.body, { by, at } = said;
  const key = only(permit.keys.filter(one => one.name === said.key)), person = only(permit.persons.filter(one => one.name === by));
  need(key.kind === "ed25519" && !Object.hasOwn(said, "delegation"), "passkey", by);
  need(fits(said, { type: NOTICE, permit: digest, by: key.owner, side: person.side }), "notice_elsewhere", by);
  const office = permit.required.some(one => one.side === said.side && one.role === said.role);
  need(office && person.roles.some(role => role === said.role) && key.scope === "any", "office", by);
  const ends = [key.valid_until, key.revoked_at].filter(Boolean).map(seconds), when = seconds(at);
  need(seconds(key.valid_from) <= when && ends.every(end => when < end), "key", by);
  const ready = keyOf(key.public);
  await ready.ready;
  says(by, statement, ready);
  return at;
}
async function verify(data) {
  const c = opened(data, REVOKED), { body, log, signature, permit, hubs, boss, bytes } = c;
  need(has(body, ENDED), "malformed");
  const digests = Promise.all([c.whole, bytes(body.study), bytes(permit)].map(digestOf));
  await c.keysReady();
  c.saysAll(new Map());
  placed(c);
  const found = await digests, run = { run: body.run, study: found[1], permit: found[2] };
  need(permit.study === found[1], "other_study");
  c.says(boss, { body: { body: found[0], log, type: "hetao.signed-certificate/1" }, signature });
  const revoking = body.permit.notices.filter(one => ["revoke", "withdraw"].includes(one.body.verb));
  need(revoking.length, "no_end");
  const times = await Promise.all(revoking.map(one => ending(c, one, found[2])));
  need(body.revoked === [...times].sort()[0], "other_end");
  need(Math.max(...times.map(seconds)) <= seconds(body.issued) + SKEW, "ended_later");
  const sites = [...new Set(body.rounds.flatMap(one => Object.keys(one.receipts)))];
  const place = inLog(c, "HetaoRevokedStudy", found, { revoked: body.revoked, sites });
  const count = releases(c, run, false);
  await c.answered();
  return { releases: count, ...place, hubs, boss, own };
}
