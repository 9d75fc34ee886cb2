// Only the first hundred elements are printed.
console.log(Array.from({length: 100}, (_, i) => i));
console.log(Array.from({length: 101}, (_, i) => i));
console.log(Array.from({length: 250}, (_, i) => "s" + i));
console.log(new Array(200).fill({}));
console.log({values: new Array(150).fill(7)});
console.log(new Set(Array.from({length: 110}, (_, i) => i)));
console.log(new Map(Array.from({length: 103}, (_, i) => [i, -i])));
