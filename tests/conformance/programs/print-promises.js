// Promises show their state.
console.log(Promise.resolve(1), Promise.resolve({a: {b: {c: 1}}}), Promise.resolve());
console.log(new Promise(() => {}));
const rejected = Promise.reject("reason");
rejected.catch(() => {});
console.log(rejected, [Promise.resolve("text")]);
console.log((async () => "async")(), (async () => { await null; })());
console.log(Object.assign(Promise.resolve(1), {extra: true}));
console.log(Promise.resolve(Promise.resolve("flat")), {a: {b: {c: Promise.resolve(1)}}});
const later = new Promise((resolve) => setTimeout(resolve, 1, {done: true}));
console.log(later);
later.then(() => console.log(later));
