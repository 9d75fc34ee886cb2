// Objects with an inspector of their own.
const custom = Symbol.for("nodejs.util.inspect.custom");
class Money {
    constructor(amount, currency) { this.amount = amount; this.currency = currency; }
    [custom](depth, options, inspect) {
        return `Money<${this.amount} ${this.currency}>`;
    }
}
console.log(new Money(5, "EUR"), [new Money(1, "USD")], {a: {b: new Money(2, "GBP")}});
console.log({[custom]() { return {replaced: true, by: [1, 2]}; }});
console.log({[custom](depth, options) { return `${depth} ${options.depth} ${options.compact}`; }});
console.log({inner: {[custom](depth) { return depth; }}});
console.log({[custom]() { return "two\nlines"; }}, [{[custom]() { return "two\nlines"; }}]);
console.log({[custom](depth, options, inspect) { return inspect({a: {b: {c: 1}}}, {depth: 0}); }});
console.log({value: 1, [custom]: "not a function"});
console.log({[custom]() { return this; }, kept: 1}.kept);
console.dir(new Money(5, "EUR"));
console.dir(new Money(5, "EUR"), {customInspect: true});
console.log("%s|%o|%O", new Money(1, "EUR"), new Money(2, "EUR"), new Money(3, "EUR"));
try {
    console.log({[custom]() { throw new Error("from the inspector"); }});
} catch (error) {
    console.log("caught", error.message);
}
