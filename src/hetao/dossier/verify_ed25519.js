/* Ed25519 in whole numbers, RFC 8032, for a browser that has none: text in the page until such a browser asks. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
function power(a, e) { let r = 1n; for (; e; e >>= 1n, a = a * a % P) if (e & 1n) r = r * a % P; return r; }
let D, ROOT, BASE; // of the curve, where they are needed
function add(a, b) {
  const e = mod((a[1] - a[0]) * (b[1] - b[0])), f = mod((a[1] + a[0]) * (b[1] + b[0]));
  const g = mod(2n * a[3] * b[3] * D), h = mod(2n * a[2] * b[2]);
  const x = f - e, y = h - g, z = h + g, w = f + e;
  return [mod(x * y), mod(z * w), mod(y * z), mod(x * w)];
}
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
  const h = number(bytesOf(await subtle.digest("SHA-512", joined(signature.slice(0, 32), key, message)))) % L;
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
