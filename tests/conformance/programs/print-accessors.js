// Accessors are named, not called.
let calls = 0;
const object = {
    get both() { calls++; return 1; },
    set both(value) {},
    get only() { calls++; return {a: 1}; },
    set write(value) {},
    plain: 1,
};
console.log(object);
console.log([object], {inner: {object}});
console.log(calls);
const array = [1, 2];
Object.defineProperty(array, 1, {get() { return "got"; }, enumerable: true});
console.log(array);
console.dir(object, {getters: true});
console.log(calls);
class Temperature {
    constructor(c) { this.c = c; }
    get f() { return this.c * 9 / 5 + 32; }
}
console.log(new Temperature(20));
