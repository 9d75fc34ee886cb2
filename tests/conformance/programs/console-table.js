// Tables.
console.table([{a: 1, b: "x"}, {a: 2, c: true}]);
console.table([[1, 2, 3], [4, 5]]);
console.table(["plain", 5, null, undefined]);
console.table({row1: {c1: 1, c2: 2}, row2: {c1: 3}});
console.table([{a: 1, b: 2}, {a: 3, b: 4}], ["b"]);
console.table([{a: 1}], ["missing"]);
console.table(new Map([["key", {v: 1}], ["other", 2]]));
console.table(new Set(["x", {y: 1}]));
console.table([{nested: {a: 1, b: 2, c: 3}, list: [1, 2, 3, 4, 5], f() {}}]);
console.table([1, {x: 2}]);
console.table([]);
console.table({});
console.table("not tabular");
console.table(5);
console.table(null);
console.table();
console.table([{wide: "日本語"}, {wide: "ascii"}]);
console.table({a: "x", b: {c: "y"}});
