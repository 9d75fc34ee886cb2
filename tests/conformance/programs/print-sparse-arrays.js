// Holes and keys that are not indices.
console.log([, ]);
console.log([, 1, , , 2, , ]);
console.log(new Array(5));
console.log([1, , 3]);
const sparse = [];
sparse[3] = "three";
sparse[1000000] = "far";
console.log(sparse);
console.log([undefined, , null]);
console.log(Object.assign([1, 2], {extra: true, "-1": "minus", "1.5": "half"}));
console.log(Object.assign([], {only: "key"}));
console.log(Object.assign(Array.from({length: 10}, (_, i) => i), {note: "ten numbers"}));
const matched = /(?<year>\d{4})-(\d\d)/.exec("on 2024-05-06");
console.log(matched);
