const log = [];
const handler = {
  get(t, k, r) { log.push(k); return Reflect.get(t, k, r); },
  has(t, k) { return k in t; },
  ownKeys(t) { return Reflect.ownKeys(t); },
  apply(t, self, args) { return t(...args) + 1; },
  construct(t, args) { return new t(...args); },
};
const p = new Proxy({ a: 1, b: 2 }, handler);
p.a; "b" in p; Object.keys(p);
const f = new Proxy(function target(x) { return x; }, handler);
f(1);
new f(2);
