// console.dir and its options.
const object = {a: {b: {c: {d: {e: 1}}}}, list: Array.from({length: 12}, (_, i) => i)};
console.dir(object);
console.dir(object, {depth: 0});
console.dir(object, {depth: null});
console.dir(object, {depth: 1, breakLength: 40});
console.dir(object, {compact: false});
console.dir(object, {compact: true, depth: 4});
console.dir(object, {compact: 1});
console.dir({b: 1, a: 2, c: {z: 1, y: 2}}, {sorted: true});
console.dir([1, 2, 3], {showHidden: true});
console.dir(object.list, {maxArrayLength: 3});
console.dir(["a long string here"], {maxStringLength: 6});
console.dir([1234567.891, 1000n, 123], {numericSeparator: true});
console.dir("text");
console.dir(5);
console.dirxml({a: 1}, [2], "text");
