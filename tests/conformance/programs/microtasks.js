// The order of promise jobs.
const log = [];
const p = Promise.resolve();
p.then(() => log.push("a1")).then(() => log.push("a2")).then(() => log.push("a3"));
p.then(() => log.push("b1")).then(() => log.push("b2")).then(() => log.push("b3"));
queueMicrotask(() => log.push("m"));
(async () => { log.push("s"); await p; log.push("c1"); await 0; log.push("c2"); })();
new Promise((resolve) => { log.push("executor"); resolve(p); }).then(() => log.push("resolved with a promise"));
Promise.reject(1).catch(() => log.push("caught")).finally(() => log.push("finally"));
({then(resolve) { log.push("thenable"); resolve(); }}).then(() => log.push("sync"));
Promise.resolve({then(resolve) { log.push("thenable job"); resolve(); }}).then(() => log.push("after thenable"));
setTimeout(() => console.log(log), 0);
