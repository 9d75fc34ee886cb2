// Tables, globals and memories made from JavaScript.
const global = new WebAssembly.Global({value: "i32", mutable: true}, 5);
global.value = 2 ** 32 + 7;
console.log(global.value, global);
const constant = new WebAssembly.Global({value: "i64"}, 9n);
console.log(constant.value, (() => { try { constant.value = 1n; } catch (e) { return e.name; } })());
const table = new WebAssembly.Table({initial: 2, element: "anyfunc", maximum: 4});
console.log(table.length, table.get(0), table.grow(1), table.length, table);
const memory = new WebAssembly.Memory({initial: 1, maximum: 2});
new Uint8Array(memory.buffer).set([1, 2, 3]);
console.log(new Uint8Array(memory.buffer, 0, 4), memory);
try { memory.grow(5); } catch (e) { console.log(e.name); }
