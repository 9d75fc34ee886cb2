const o = {
  n: 0,
  get twice() { return this.n * 2; },
  set twice(v) { this.n = v / 2; },
  [Symbol.toPrimitive](hint) { return hint === "string" ? "o" : 7; },
  toString() { return "never"; },
};
o.twice = 10;
o.twice + o;
`${o}`;
[3, 1, 2].sort((a, b) => a - b);
JSON.stringify({ a: { toJSON() { return 1; } } }, (k, v) => v);
"x-y".replace(/-/, m => "+");
