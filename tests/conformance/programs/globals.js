// What is there, and how it is called.
for (const name of ["setTimeout", "setInterval", "clearTimeout", "clearInterval", "queueMicrotask"])
    console.log(name, typeof globalThis[name]);
console.log(typeof console, typeof performance.now, typeof WebAssembly, typeof globalThis);
console.log(typeof process.exit, typeof process.argv, process.exitCode);
console.log(typeof onmessage, typeof undeclared);
try { setTimeout("not a function"); } catch (error) { console.log(error instanceof TypeError); }
try { queueMicrotask(5); } catch (error) { console.log(error instanceof TypeError); }
console.log(Object.prototype.toString.call(null), Object.prototype.toString.call([]));
globalThis.shared = 1;
console.log(shared, delete globalThis.shared, typeof shared);
console.log((0, eval)("typeof console"), new Function("a", "return a * 2")(21));
