// Where a line is broken: by length, by number of entries, by depth.
for (let n = 8; n <= 16; n++)
    console.log({a: "x".repeat(n), b: "y".repeat(n), c: "z".repeat(n), d: "w".repeat(n)});
for (let n = 20; n <= 26; n++)
    console.log(["x".repeat(n), "y".repeat(n), "z".repeat(n)]);
console.log({a: {b: {c: {}}}}, {a: {b: {c: 1}}}, {a: {b: {c: [1]}}});
console.log([[[[]]]], [[[1]]], [[[[1]]]]);
console.log({a: [{b: {c: {}}}]}, {a: [{b: {c: {d: 1}}}]});
console.log({a: {b: {}}, c: {d: {}}});
console.log([{name: "first", tags: ["a", "b"]}, {name: "second", tags: []}]);
console.log({users: [{name: "Ann", address: {city: "Rome"}}, {name: "Bob", address: {city: "Oslo"}}], total: 2});
console.log({matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]});
console.log({f: function () {}, g: {h: {i: {j: {k: 1}}}}, list: [1, [2, [3, [4]]]]});
console.log(new Map([["config", {a: 1, b: [1, 2, 3]}], ["other", {c: new Map([["x", {y: 1}]])}]]));
