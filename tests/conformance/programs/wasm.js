// A small WebAssembly module: an import, a memory, add(i32, i32) and div(i32, i32).
const section = (id, ...content) => [id, content.length, ...content];
const text = (string) => [string.length, ...[...string].map((c) => c.charCodeAt(0))];
const body = (...code) => [code.length + 2, 0x00, ...code, 0x0b];
const I32 = 0x7f;
const binary = Uint8Array.of(
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    ...section(1, 2, 0x60, 2, I32, I32, 1, I32, 0x60, 1, I32, 0),
    ...section(2, 1, ...text("env"), ...text("log"), 0x00, 1),
    ...section(3, 2, 0, 0),
    ...section(5, 1, 0x00, 1),
    ...section(7, 3, ...text("add"), 0x00, 1, ...text("div"), 0x00, 2, ...text("mem"), 0x02, 0),
    ...section(10, 2,
        ...body(0x20, 0, 0x10, 0, 0x20, 0, 0x20, 1, 0x6a),      // log(a); a + b
        ...body(0x20, 0, 0x20, 1, 0x6d)));                      // a / b
console.log(WebAssembly.validate(binary), WebAssembly.validate(new Uint8Array(8)));
const module = new WebAssembly.Module(binary);
console.log(WebAssembly.Module.imports(module), WebAssembly.Module.exports(module));
const instance = new WebAssembly.Instance(module, {env: {log: (n) => console.log("wasm says", n)}});
const {add, div, mem} = instance.exports;
console.log(add(2, 3), add(2 ** 31 - 1, 1), div(7, 2));
console.log(mem.buffer.byteLength, mem.grow(1), mem.buffer.byteLength);
try {
    div(1, 0);
} catch (error) {
    console.log(error instanceof WebAssembly.RuntimeError, error.name);
}
try {
    new WebAssembly.Instance(module, {});
} catch (error) {
    console.log(error.constructor === TypeError);
}
console.log(instance, module, mem, Object.keys(instance.exports), instance.exports);
WebAssembly.instantiate(binary, {env: {log() {}}})
    .then(({instance: second}) => console.log("async", second.exports.add(20, 22)))
    .then(() => WebAssembly.compile(new Uint8Array(4)))
    .catch((error) => console.log(error.name));
