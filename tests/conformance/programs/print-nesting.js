// Depth 2 is shown, deeper objects are abbreviated by their constructor.
class Point {
    constructor(x) { this.x = x; }
}
console.log({a: {b: {c: {d: 1}}}});
console.log({a: {b: {c: {}}}});
console.log({a: {b: {c: []}}});
console.log({a: {b: {c: [1]}}});
console.log([[[[1]]], [[[]]], [[{a: 1}]], [[[{a: 1}]]]]);
console.log({a: {b: {c: new Point(1), d: new Map([[1, 2]]), e: new Set([1]), f: new Map()}}});
console.log({a: {b: {c: Object.create(null), d: Object.assign(Object.create(null), {k: 1})}}});
console.log({a: {b: {c: () => 1, d: function named() {}, e: class K {}, f: /re/g, g: new Date(0)}}});
console.log({a: {b: {c: new Uint8Array(2), d: Promise.resolve(1), e: Object("boxed")}}});
console.log({a: 1, b: {a: 1, b: {a: 1, b: {a: 1, b: {}}}}});
console.log([{a: {b: 1}}, {a: {b: {c: 1}}}]);
console.log(new Map([["k", new Map([["k", new Map([["k", new Map()]])]])]]));
