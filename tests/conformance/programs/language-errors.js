// try, catch, finally, and the errors of the language by their names.
const name = (f) => { try { return f(); } catch (e) { return e.name; } };
console.log(name(() => null.x), name(() => undefinedName), name(() => new Array(-1)), name(() => eval("(")));
console.log(name(() => decodeURIComponent("%")), name(() => 1n + 1), name(() => Symbol() + ""), name(() => "x".repeat(-1)));
console.log(name(() => { "use strict"; Object.freeze([]).push(1); }), name(() => JSON.parse("{")), name(() => new (() => {})()));
const order = [];
const f = () => { try { order.push("try"); return "from try"; } finally { order.push("finally"); } };
console.log(f(), order, (() => { try { throw 1; } catch { return "caught"; } finally { return "overridden"; } })());
class Custom extends Error {
    constructor(message, options) { super(message, options); this.name = this.constructor.name; }
}
try {
    try { throw new Custom("inner", {cause: "the cause"}); } catch (e) { throw new Error("outer", {cause: e}); }
} catch (e) {
    console.log(e.message, e.cause.message, e.cause.cause, e.cause instanceof Custom, `${e.cause}`);
}
const error = new AggregateError([1, 2], "both");
console.log(error.errors, error.message, String(new TypeError("text")), Object.prototype.toString.call(error));
function deep() { return deep() + 1; }
try { deep(); } catch (e) { console.log("stack overflow is caught"); }
console.log(typeof new Error().stack, Object.keys(new Error("x")));
