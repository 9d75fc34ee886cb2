// Objects without Object.prototype.
const bare = Object.create(null);
console.log(bare);
bare.key = "value";
bare.inner = Object.create(null);
console.log(bare);
console.log([Object.create(null)], {a: {b: {c: bare}}});
console.log(Object.create({}), Object.create({inherited: 1}));
console.log(Object.create(Object.create(null)));
console.log(Object.setPrototypeOf([1, 2], null));
console.log(Object.setPrototypeOf(new Map([[1, 2]]), null));
console.log(Object.setPrototypeOf(new Set([1]), null));
console.log(Object.setPrototypeOf(new Date(0), null));
console.log(Object.setPrototypeOf(/x/g, null));
