// Closures and scopes.
const fs = [];
for (let i = 0; i < 3; i++)
    fs.push(() => i);
for (var j = 0; j < 3; j++)
    fs.push(() => j);
console.log(fs.map((f) => f()));
function counter() {
    let n = 0;
    return {up: () => ++n, down: () => --n, get value() { return n; }};
}
const a = counter(), b = counter();
a.up(); a.up(); b.down();
console.log(a.value, b.value, a);
console.log((() => { try { tdz; let tdz = 1; } catch (e) { return e instanceof ReferenceError; } })());
const memo = ((cache) => (n) => cache.has(n) ? cache.get(n) : (cache.set(n, n < 2 ? n : memo(n - 1) + memo(n - 2)), cache.get(n)))(new Map());
console.log(memo(60));
console.log((function f(n) { return n ? n * f(n - 1) : 1; })(10), ((a, b = a + 1, ...c) => [a, b, c])(1, undefined, 3, 4));
outer: for (let x = 0; x < 3; x++) {
    for (let y = 0; y < 3; y++) {
        if (y === 1) continue outer;
        if (x === 2) break outer;
        console.log(x, y);
    }
}
const {p, q: {r = 5, ...rest} = {}, ...others} = {p: 1, q: {s: 2, t: 3}, u: 4, v: 5};
console.log(p, r, rest, others);
console.log([..."añ😀"], [...new Set([1, 1, 2])], Math.max(...[1, 5, 3]));
console.log(null ?? "default", 0 || "or", ({a: null})?.a?.b.c, `t${1 + 1}`, ((s, ...v) => s.raw.join("|") + v)`a${1}\n${2}`);
