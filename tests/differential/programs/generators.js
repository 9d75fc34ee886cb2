function* count(n) {
  for (let i = 0; i < n; i++) {
    const sent = yield i;
    if (sent) return sent;
  }
}
function* both() { yield* count(2); try { yield "x"; } finally { debugger; } }
for (const v of both()) void v;
const it = both(); it.next(); it.next(); it.next(); it.return("early");
const thrown = count(3); thrown.next();
try { thrown.throw(new Error("e")); } catch (e) { debugger; }
const sent = count(3); sent.next(); sent.next("done");
