function f({ a = one(), b: [c, ...d] = [] } = {}, e = a + 1) {
  return [a, c, d, e];
}
function one() { return 1; }
f();
f({ a: 5, b: [1, 2, 3] });
const [p, , q = one()] = new Set([1, 2]);
const { [`k${p}`]: r, ...others } = { k1: 1, k2: 2 };
const s = others?.k3?.x ?? one();
