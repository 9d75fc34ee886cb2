// Symbol keys and Symbol.toStringTag.
console.log({[Symbol("a")]: 1, [Symbol()]: 2, [Symbol.iterator]: 3, plain: 4});
console.log({[Symbol("with space")]: {[Symbol("inner")]: Symbol("value")}});
const hidden = {};
Object.defineProperty(hidden, Symbol("hidden"), {value: 1, enumerable: false});
Object.defineProperty(hidden, "secret", {value: 1, enumerable: false});
console.log(hidden);
console.log({[Symbol.toStringTag]: "Own"});
class Tagged { get [Symbol.toStringTag]() { return "Label"; } }
class Same { get [Symbol.toStringTag]() { return "Same"; } }
console.log(new Tagged(), new Same(), Object.assign(new Tagged(), {a: 1}));
console.log(Object.create(null, {[Symbol.toStringTag]: {value: "Bare"}}));
console.log(Math, JSON, Reflect, Atomics);
console.log((function* () {})(), (async function* () {})());
class TaggedMap extends Map { get [Symbol.toStringTag]() { return "Special"; } }
console.log(new TaggedMap([[1, 2]]));
