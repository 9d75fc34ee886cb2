// Primitives on their own and inside an array.
console.log(1, -1.5, 0, -0, NaN, Infinity, -Infinity, 1e21, 1e-7, 0xff);
console.log("text", "", "with 'single'", 'with "double"');
console.log(true, false, null, undefined);
console.log(10n, -10n, 123456789012345678901234567890n);
console.log(Symbol("s"), Symbol(), Symbol.iterator, Symbol.for("registered"));
console.log([1, -0, NaN, "text", true, null, undefined]);
console.log([10n, Symbol("s"), Symbol.iterator]);
console.log();
console.log("");
console.log("a", "b", 1, {});
