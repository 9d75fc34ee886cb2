"use strict";
function tag(strings, ...values) { return strings.raw.join("|") + values.length; }
tag`a${1}b${tag`${2}`}`;
const bound = tag.bind(null, { raw: ["x", "y"] });
bound(1, 2, 3);
tag.call(null, { raw: [] });
tag.apply(null, [{ raw: ["q"] }, 1]);
Reflect.apply(tag, null, [{ raw: [] }]);
Array.from({ length: 2 }, (_, i) => i * 2);
[[1], [2]].flatMap(x => x).reduce((a, b) => a + b);
