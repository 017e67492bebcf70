/* --- ML-DSA-44, FIPS 204: no browser has it. It verifies only; names and numbers of algorithms are the standard's --- */
const Q = 8380417, TAU = 39, OMEGA = 80, GAMMA1 = 2 ** 17, GAMMA2 = (Q - 1) / 88, BETA = 78, MASK = 2n ** 64n - 1n;
const inQ = a => (a % Q + Q) % Q;
const powerQ = (a, e) => { let r = 1; for (; e; e >>= 1, a = a * a % Q) if (e & 1) r = r * a % Q; return r; };
const ZETAS = Array.from({ length: 256 }, (_, i) => powerQ(1753, parseInt(i.toString(2).padStart(8, "0").split("").reverse().join(""), 2)));

/* SHAKE, FIPS 202: 25 lanes of 64 bits, the lane of x and y at x + 5 y. */
const turned = (lane, by) => (lane << by | lane >> 64n - by) & MASK;
const ROUNDS = []; // the constants of 24 rounds, from a register of 8 bits
for (let round = 0, r = 1; round < 24; round++) {
  let constant = 0n;
  for (let j = 0; j < 7; j++) {
    if (r & 1) constant |= 1n << BigInt(2 ** j - 1);
    r = r << 1 ^ (r >> 7) * 0x171;
  }
  ROUNDS.push(constant);
}
function permute(lanes) {
  for (const constant of ROUNDS) {
    const c = [0, 1, 2, 3, 4].map(x => lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]);
    for (let i = 0; i < 25; i++) lanes[i] ^= c[(i + 4) % 5] ^ turned(c[(i + 1) % 5], 1n);
    for (let t = 0, x = 1, y = 0, kept = lanes[1]; t < 24; t++) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      [kept, lanes[x + 5 * y]] = [lanes[x + 5 * y], turned(kept, BigInt((t + 1) * (t + 2) / 2 % 64))];
    }
    for (let row = 0; row < 25; row += 5) {
      const was = lanes.slice(row, row + 5);
      for (let x = 0; x < 5; x++) lanes[row + x] = was[x] ^ ~was[(x + 1) % 5] & MASK & was[(x + 2) % 5];
    }
    lanes[0] ^= constant;
  }
}
/* The first `length` bytes of SHAKE-128 (a rate of 168 bytes) or SHAKE-256 (136). */
function shake(rate, data, length) {
  const lanes = Array(25).fill(0n), padded = new Uint8Array(data.length + rate - data.length % rate), found = new Uint8Array(length);
  padded.set(data);
  padded[data.length] = 0x1f;
  padded[padded.length - 1] |= 0x80;
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += rate) {
    for (let i = 0; i < rate / 8; i++) lanes[i] ^= view.getBigUint64(at + 8 * i, true);
    permute(lanes);
  }
  for (let at = 0; at < length; at++) {
    if (at && at % rate === 0) permute(lanes);
    found[at] = Number(lanes[at % rate >> 3] >> BigInt(8 * (at % 8)) & 255n);
  }
  return found;
}

/* A polynomial is 256 coefficients of X^0 …, modulo X^256 + 1. */
function bits(data, start, width) {
  const found = [];
  let kept = 0, many = 0, at = start;
  while (found.length < 256) {
    for (; many < width; many += 8) kept += data[at++] * 2 ** many;
    found.push(kept % 2 ** width);
    kept = Math.floor(kept / 2 ** width);
    many -= width;
  }
  return found;
}
/* The places of each row's hints; null if written another way (21). */
function hintsIn(data) {
  const found = [];
  let start = 0;
  for (const stop of data.slice(OMEGA)) {
    if (stop < start || stop > OMEGA) return null;
    const row = [...data.slice(start, stop)];
    if (!row.every((one, i) => !i || row[i - 1] < one)) return null;
    found.push(new Set(row));
    start = stop;
  }
  return data.slice(start, OMEGA).some(Boolean) ? null : found;
}
/* 39 coefficients of ±1 among zeros (29). */
function ball(seed) {
  const stream = shake(136, seed, 4 * 136), found = Array(256).fill(0);
  for (let i = 256 - TAU, at = 8, n = 0; i < 256; i++, at++, n++) {
    while (stream[at] > i) at++;
    const sign = stream[n >> 3] >> n % 8 & 1;
    found[i] = found[stream[at]];
    found[stream[at]] = 1 - 2 * sign;
  }
  return found;
}
/* An entry of the matrix, which is drawn transformed (30). */
function uniform(seed) {
  const stream = shake(168, seed, 6 * 168), found = [];
  for (let at = 0; found.length < 256; at += 3) {
    const one = stream[at] + stream[at + 1] * 2 ** 8 + (stream[at + 2] & 127) * 2 ** 16;
    if (!(one >= Q)) found.push(one);
  }
  return found;
}
/* A polynomial's values, by which it is multiplied place by place (41). */
function transformed(w) {
  const found = [...w];
  for (let step = 128, n = 0; step; step >>= 1) for (let start = 0; start < 256; start += 2 * step) {
    const zeta = ZETAS[++n];
    for (let j = start; j < start + step; j++) {
      const t = zeta * found[j + step] % Q, u = found[j];
      found[j] = (u + t) % Q; found[j + step] = (u - t) % Q;
    }
  }
  return found;
}
/* The polynomial of these values (42). */
function back(w) {
  const found = [...w];
  for (let step = 1, n = 256; step < 256; step *= 2) for (let start = 0; start < 256; start += 2 * step) {
    const zeta = ZETAS[--n];
    for (let j = start; j < start + step; j++) {
      const t = found[j], u = found[j + step];
      found[j] = (t + u) % Q; found[j + step] = zeta * (u - t) % Q;
    }
  }
  return found.map(one => inQ(one * 8347681)); // 1/256
}
/* The high part of a number, by its hint (36, 40). */
function highOf(r, hinted) {
  let low = r % (2 * GAMMA2);
  if (low > GAMMA2) low -= 2 * GAMMA2;
  return ((r - low) / (2 * GAMMA2) + (hinted ? low > 0 ? 1 : 43 : 0)) % 44; // 44, of the last, is 0
}
/* Whether an ML-DSA-44 key signed a message, without a context. */
function holds44(key, signature, message) {
  if (key.length !== 1312 || signature.length !== 2420) return false;
  const hints = hintsIn(signature.slice(-OMEGA - 4)), rows = [0, 1, 2, 3];
  const z = rows.map(i => bits(signature, 32 + 576 * i, 18).map(one => GAMMA1 - one));
  if (hints === null || z.some(row => row.some(one => Math.abs(one) >= GAMMA1 - BETA))) return false;
  const mu = shake(136, joined(shake(136, key, 64), [0, 0], message), 64);
  const challenge = transformed(ball(signature.slice(0, 32))), masked = z.map(transformed), tilde = [];
  for (const row of rows) {
    const total = Array(256).fill(0), t1 = transformed(bits(key, 32 + 320 * row, 10).map(one => one * 2 ** 13));
    for (const column of rows) {
      const a = uniform(joined(key.slice(0, 32), [column, row]));
      for (let i = 0; i < 256; i++) total[i] = (total[i] + a[i] * masked[column][i]) % Q;
    }
    const high = back(total.map((t, i) => (t - challenge[i] * t1[i]) % Q)).map((r, i) => highOf(r, hints[row].has(i)));
    for (let i = 0; i < 256; i += 4) {
      const packed = high[i] + high[i + 1] * 2 ** 6 + high[i + 2] * 2 ** 12 + high[i + 3] * 2 ** 18;
      tilde.push(packed & 255, packed >> 8 & 255, packed >> 16);
    }
  }
  return same(shake(136, joined(mu, tilde), 32), signature.slice(0, 32));
}
