class Range {
  constructor(n) { this.n = n; }
  [Symbol.iterator]() {
    let i = 0, n = this.n;
    return { next: () => ({ value: i, done: i++ >= n }), return() { return {}; } };
  }
}
for (const x of new Range(3)) { if (x === 1) break; }
[...new Range(2)];
Math.max(...new Range(2));
const [first] = new Range(5);
new Map([...new Range(2)].map(x => [x, x]));
try { for (const x of new Range(2)) throw x; } catch { }
