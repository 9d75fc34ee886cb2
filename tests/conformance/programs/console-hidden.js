// %o shows what is not enumerable.
console.log("%o", [1, {a: 2}]);
console.log("%o", {a: {b: {c: {d: {e: {f: 1}}}}}});
console.log("%o", (a, b) => a);
console.log("%o", {method() {}});
console.log("%o", class K { static s = 1; m() {} });
console.log("%o", function plain() {});
class WithGetter { x = 1; get double() { return this.x * 2; } }
console.log("%o", new WithGetter());
console.log("%o", new Uint8Array(2));
console.log("%o %o", "text", 5);
console.log("%o", new Map([[1, {a: 1}]]));
