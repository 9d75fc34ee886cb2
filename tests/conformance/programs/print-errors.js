// Errors. The frames of a stack are the engine's: each stack is fixed here.
const fixed = (error, stack) => Object.defineProperty(error, "stack",
    {value: stack, enumerable: false, writable: true, configurable: true});
const frames = "\n    at f (file.js:1:2)\n    at file.js:3:4";
console.log(fixed(new Error("plain"), "Error: plain" + frames));
console.log([fixed(new TypeError("in a list"), "TypeError: in a list" + frames)]);
console.log({deep: {er: fixed(new Error("indented"), "Error: indented" + frames)}});
console.log(fixed(new Error("no frames"), "Error: no frames"));
console.log([fixed(new RangeError("no frames"), "RangeError: no frames")]);
console.log(fixed(new Error(""), "Error" + frames));
console.log(fixed(Object.assign(new Error("props"), {code: "E_CODE", info: {a: 1}}), "Error: props" + frames));
console.log(fixed(new Error("outer", {cause: fixed(new Error("inner"), "Error: inner")}), "Error: outer" + frames));
console.log(fixed(new Error("cause is text", {cause: "why"}), "Error: cause is text"));
console.log(fixed(new AggregateError([fixed(new Error("one"), "Error: one"), 2], "several"), "AggregateError: several" + frames));
class ValidationError extends Error {}
console.log(fixed(new ValidationError("subclass"), "Error: subclass" + frames));
class Failure extends Error { constructor(m) { super(m); this.name = "Failure"; } }
console.log(fixed(new Failure("named"), "Failure: named" + frames));
class Odd extends Error { constructor(m) { super(m); this.name = "SomethingElse"; } }
console.log(fixed(new Odd("named"), "Error: named" + frames));
console.log(fixed(new Error("multi\nline"), "Error: multi\nline" + frames));
console.log({a: {b: {c: fixed(new Error("at depth"), "Error: at depth")}}});
console.log(fixed(new Error("text"), "something else entirely"), fixed(new Error("text"), ""));
