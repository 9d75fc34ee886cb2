// Something always waits in the queue: the shell forgets, under a Debugger, to go on behind an `await`
// at once where nothing does, and ours does not.
let ticks = 60;
(function tick() { if (ticks-- > 0) Promise.resolve().then(tick); })();
async function* numbers(n) {
  for (let i = 0; i < n; i++) { await i; yield i; }
}
async function sum() {
  let s = 0;
  for await (const x of numbers(3)) s += x;
  return s;
}
sum().then(s => { debugger; });
