// performance.now is monotonic and counts in milliseconds.
const start = performance.now();
console.log(typeof start, start >= 0, Number.isFinite(start));
let last = start;
let monotonic = true;
for (let i = 0; i < 1000; i++) {
    const now = performance.now();
    monotonic &&= now >= last;
    last = now;
}
console.log(monotonic);
await new Promise((resolve) => setTimeout(resolve, 20));
const waited = performance.now() - start;
console.log(waited >= 19, waited < 10000);
console.log(Math.abs(Date.now() - new Date().getTime()) < 1000);
