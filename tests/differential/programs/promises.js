const p = new Promise((ok, no) => { ok(1); no(2); });
p.then(x => { throw new Error("in then"); }).catch(e => e.message).then(m => m.length);
Promise.race([p, Promise.reject("lost")]).then(x => x);
Promise.allSettled([p, Promise.reject(3)]).then(r => r.length);
const thenable = { then(ok) { ok("thenable"); } };
Promise.resolve(thenable).then(v => { debugger; });
(async () => { for (let i = 0; i < 3; i++) await i; })();
