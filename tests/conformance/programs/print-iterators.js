// Iterators of collections show what they have left.
const map = new Map([["a", 1], ["b", {c: 2}]]);
const set = new Set([1, [2, 3]]);
console.log(map.keys());
console.log(map.values());
console.log(map.entries());
console.log(map[Symbol.iterator]());
console.log(set.values());
console.log(set.entries());
console.log(new Map().keys(), new Set().values());
console.log([1, 2][Symbol.iterator](), "ab"[Symbol.iterator](), "aXb".matchAll(/X/g));
