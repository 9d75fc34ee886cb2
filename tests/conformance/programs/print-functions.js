// Functions of every kind, with and without names and properties.
function plain(a, b) { return a + b; }
console.log(plain, () => 1, function () {}, async () => {}, async function later() {});
console.log(function* gen() {}, async function* agen() {}, Math.max, parseInt);
console.log([plain, () => 1], {plain, arrow: () => 1, method() {}, async am() {}, *gm() {}});
console.log({get: plain, ["computed" + 1]: () => 1, [Symbol("sym")]: () => 1});
plain.count = 3;
plain.nested = {a: {b: {c: 1}}};
console.log(plain);
console.log(plain.bind(null), (function () {}).bind(null));
const named = Object.defineProperty(() => {}, "name", {value: "renamed"});
console.log(named);
console.log(Object.assign(() => {}, {a: 1}), Object.assign(class Z {}, {b: 2}));
console.log(Function, Object, Array, Promise, Symbol);
console.log(Object.setPrototypeOf(function orphan() {}, null));
