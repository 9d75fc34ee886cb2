// Boxed primitives, dates and regular expressions.
console.log([Object(1), Object(-0), Object("str"), Object(true), Object(1n), Object(Symbol("s"))]);
console.log(Object.assign(Object("ab"), {extra: 1}), Object.assign(Object(3), {extra: 1}));
console.log(new Date(0), [new Date(86400000)], {at: new Date(1e12)});
console.log(new Date(NaN));
console.log(Object.assign(new Date(0), {note: "epoch"}));
console.log(/a.b/gi, [/[/]/u], Object.assign(/x/, {note: "re"}), new RegExp(""), new RegExp("/"));
console.log({a: {b: {c: new Date(0), d: /x/, e: Object(1)}}});
