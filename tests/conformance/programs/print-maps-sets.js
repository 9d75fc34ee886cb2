// Map and Set, their weak relatives, nested and empty.
console.log(new Map(), new Set());
console.log(new Map([["a", 1], ["b", {c: 2}], [{k: 1}, [1, 2]], [NaN, -0]]));
console.log(new Set([1, "two", [3], {four: 4}, null, undefined]));
console.log(new Map([[new Map([["inner", 1]]), new Set([new Set([1])])]]));
console.log([new Map([[1, 2]]), new Set([1])]);
console.log({m: new Map([["key", {deep: {deeper: {deepest: 1}}}]])});
console.log(new Map([["long key number one", "long value number one"], ["long key number two", "long value number two"]]));
console.log(new Set(["long element number one", "long element number two", "long element number three"]));
console.log(Object.assign(new Map([[1, 2]]), {extra: "property"}));
console.log(Object.assign(new Set(), {extra: "property"}));
console.log(new WeakMap([[{}, 1]]), new WeakSet([{}]));
console.log(new Set(Array.from({length: 20}, (_, i) => i)));
