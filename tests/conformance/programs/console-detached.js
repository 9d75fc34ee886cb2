// The methods work without their object.
const {log, group, groupEnd} = console;
log("detached");
[1, 2].forEach((n) => log(n));
group("g");
log("in");
groupEnd();
Promise.resolve("resolved").then(console.log);
setTimeout(console.log, 0, "from a timer", {a: 1});
console.log(typeof console.time, typeof console.trace, typeof console.timeLog);
