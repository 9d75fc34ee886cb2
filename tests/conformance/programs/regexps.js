// Regular expressions.
const date = /(?<year>\d{4})-(?<month>\d{2})-(?<day>\d{2})/u;
const {groups} = date.exec("on 2024-05-06.");
console.log(groups, groups.year);
console.log("2024-05-06".replace(date, "$<day>/$<month>/$<year>"));
console.log([..."a1b22c333".matchAll(/([a-z])(\d+)/g)].map(([, l, d]) => l + d.length));
console.log("a.b.c".split("."), "a1b2".split(/(\d)/), "aXbX".replaceAll("X", "-"));
console.log(/(?<=\$)\d+/.exec("cost $42")[0], /(?<!\$)\b\d+/.exec("cost $42 or 17")[0]);
console.log("x".match(/y/), "abc".match(/b/), "aaa".match(/a/g));
const sticky = /foo/y;
sticky.lastIndex = 3;
console.log(sticky.test("barfoo"), sticky.lastIndex, sticky.test("barfoo"));
console.log(/^.$/u.test("😀"), /\p{Lu}/u.test("É"), /a.c/s.test("a\nc"));
console.log("camelCaseString".replace(/[A-Z]/g, (c, i) => `_${i}${c.toLowerCase()}`));
console.log(/(a)|(b)/d.exec("xb").indices, /a/gimsuy.flags);
console.log(/(\w+)\s\1/.test("hello hello"), "tel: 555-1234".search(/\d/));
