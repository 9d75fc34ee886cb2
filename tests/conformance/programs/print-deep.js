// Nesting deeper than the stack is cut off, not an error.
const custom = Symbol.for("nodejs.util.inspect.custom");
const deep = {};
for (let i = 0, at = deep; i < 100000; i++)
    at = at.next = {};
const flat = {depth: Infinity, compact: true, breakLength: Infinity};
console.log({
    [custom](depth, options, inspect) {
        const text = inspect(deep, flat);
        return `${text.startsWith("{ next: { next: {")} ${/\[Object: Inspection interrupted prematurely\. Maximum call stack size exceeded\.\] \}/.test(text)}`;
    },
});
console.log(deep);
const list = [];
for (let i = 0, at = list; i < 100000; i++)
    at.push(at = []);
console.log(list, [list]);
console.dir(deep, {depth: 5});
