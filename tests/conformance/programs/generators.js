// Generators and the iteration protocols.
function* count(from, to) {
    try {
        for (let i = from; i <= to; i++) {
            const sent = yield i;
            if (sent) console.log("got", sent);
        }
        return "finished";
    } finally {
        console.log("cleanup");
    }
}
console.log([...count(1, 3)]);
const g = count(1, 5);
console.log(g.next(), g.next("hello"), g.return("early"), g.next());
for (const n of count(1, 10))
    if (n === 2) break;
function* both() { const r = yield* count(7, 8); console.log("delegate returned", r); }
console.log(Array.from(both()));
const thrown = count(1, 2);
thrown.next();
try { thrown.throw(new Error("in")); } catch (e) { console.log(e.message); }
class Range {
    constructor(n) { this.n = n; }
    *[Symbol.iterator]() { for (let i = 0; i < this.n; i++) yield i; }
}
console.log([...new Range(4)], Math.max(...new Range(4)), new Map([[1, 2]]).entries().next());
const [first, , third = "default", ...rest] = new Range(6);
console.log(first, third, rest);
function* fibonacci() { for (let [a, b] = [0, 1]; ; [a, b] = [b, a + b]) yield a; }
for (const f of fibonacci()) { if (f > 50) break; console.log(f); }
