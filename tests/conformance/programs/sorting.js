// Sorting is stable; comparisons of mixed values; array methods.
const people = [["ann", 3], ["bob", 1], ["cid", 3], ["dan", 2], ["eve", 1]].map(([name, age]) => ({name, age}));
console.log(people.sort((a, b) => a.age - b.age).map((p) => p.name));
console.log([10, 9, 1, undefined, "b", , "a", null, -1].sort());
console.log(["b", "a", "C", "ä", "Z", "10", "9"].sort(), [true, false, 2, "1"].sort());
let seed = 42;
const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
const numbers = Array.from({length: 500}, () => Math.floor(random() * 1000));
const sorted = [...numbers].sort((a, b) => a - b);
console.log(sorted.every((n, i) => i === 0 || sorted[i - 1] <= n), sorted.slice(0, 10), sorted.at(-1));
console.log([1, 2, 3, 4, 5].filter((n) => n % 2).map((n) => n * n).reverse(), [3, 1, 2].concat([4], [[5]]));
console.log([1, 2, 3, 4].find((n) => n > 2), [1, 2, 3].findIndex((n) => n > 5), [1, 2, 3].some((n) => n > 2), [].every(() => false));
const list = [1, 2, 3, 4, 5];
console.log(list.splice(1, 2, "x", "y", "z"), list, list.fill(0, 4), list.indexOf("z"), list.join());
console.log([..."hello"].reduceRight((text, c) => text + c), Object.entries([7, 8]), [[1, 2], [3]].flatMap((x) => x));
console.log(Array.isArray([]), Array.from({length: 3, 0: "a", 2: "c"}), Array.from(new Map([[1, 2]])), [, 1].map((x) => x * 2));
