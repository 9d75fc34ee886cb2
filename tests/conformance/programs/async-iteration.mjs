// Async generators and for await.
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function* ticks(n) {
    try {
        for (let i = 0; i < n; i++) { await sleep(1); yield i; }
    } finally {
        console.log("ticks closed");
    }
}
for await (const t of ticks(3)) console.log("tick", t);
for await (const t of ticks(10)) { if (t === 1) break; }
for await (const v of [Promise.resolve("a"), "b"]) console.log(v);
const gen = ticks(2);
console.log(await Promise.all([gen.next(), gen.next(), gen.next()]));
async function* failing() { yield 1; throw new Error("mid-way"); }
try { for await (const v of failing()) console.log(v); } catch (e) { console.log("caught", e.message); }
const manual = {[Symbol.asyncIterator]() { let i = 0; return {next: async () => ({value: i, done: i++ >= 2})}; }};
for await (const v of manual) console.log("manual", v);
async function* delegating() { const r = yield* ticks(1); yield r; }
const all = [];
for await (const v of delegating()) all.push(v);
console.log(all);
