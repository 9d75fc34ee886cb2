const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 9, 2, 96, 1, 127, 1, 127, 96, 0, 0, 2, 16, 1, 3, 101, 110, 118, 8, 99, 97, 108, 108, 98, 97, 99, 107, 0, 0, 3, 4, 3, 0, 1, 0, 7, 19, 3, 1, 102, 0, 1, 4, 116, 114, 97, 112, 0, 2, 4, 108, 111, 111, 112, 0, 3, 10, 32, 3, 9, 0, 32, 0, 16, 0, 65, 1, 106, 11, 3, 0, 0, 11, 16, 0, 3, 64, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 32, 0, 11]);
let depth = 0, instance;
function callback(n) {
  if (n === 99) throw new Error("through wasm");
  return depth++ < 1 ? instance.exports.f(n + 1) : n;
}
instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { callback } });
instance.exports.f(5);
instance.exports.loop(3);
try { instance.exports.trap(); } catch (e) { e.message; }
try { instance.exports.f(99); } catch (e) { debugger; }
[1, 2].map(instance.exports.loop);
