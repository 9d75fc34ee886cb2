// Plain objects: keys, order, empty, one line or several.
console.log({});
console.log({a: 1, b: "two", c: true, d: null, e: undefined});
console.log({z: 1, 2: "two", a: 3, 1: "one"});
console.log({"needs-quotes": 1, $dollar: 2, _under: 3, "with space": 4, "it's": 5, "": 6, ünicode: 7});
console.log({["__proto__"]: 1});
console.log({
    first: "a value that is rather long",
    second: "another value that is rather long",
    third: "and one more",
});
console.log({a: "x".repeat(60)});
console.log({a: "x".repeat(61)});
console.log({a: "x".repeat(62)});
console.log({a: "x".repeat(63)});
console.log({a: 1, b: {c: 2, d: {e: 3}}});
const many = {};
for (let i = 0; i < 30; i++)
    many[`key${i}`] = i;
console.log(many);
