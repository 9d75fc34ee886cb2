// Arrays: short ones on a line, from seven elements on in columns.
console.log([]);
console.log([1, 2, 3], ["a", "b"], [[1, 2], [3, [4, [5]]]]);
console.log([1, 2, 3, 4, 5, 6]);
console.log([1, 2, 3, 4, 5, 6, 7]);
console.log(Array.from({length: 27}, (_, i) => i));
console.log(Array.from({length: 50}, (_, i) => i * i * i));
console.log(Array.from({length: 30}, (_, i) => -i / 4));
console.log("the quick brown fox jumps over the lazy dog and runs away".split(" "));
console.log(Array.from({length: 12}, (_, i) => "x".repeat(i)));
console.log(Array.from({length: 8}, (_, i) => "element number " + i));
console.log(Array.from({length: 8}, (_, i) => ({id: i})));
console.log(Array.from({length: 8}, (_, i) => i % 2 ? i : "s" + i));
console.log(Array.from({length: 9}, (_, i) => BigInt(i) ** 10n));
console.log(Array.from({length: 10}, (_, i) => [i, i * i]));
console.log({list: Array.from({length: 40}, (_, i) => i), nested: [Array.from({length: 20}, () => "abc")]});
