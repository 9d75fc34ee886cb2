// Blocked: sleeps in Atomics.wait on a cell that nobody will ever notify.
console.log("waiting");
const cell = new Int32Array(new SharedArrayBuffer(4));
console.log(Atomics.wait(cell, 0, 0));
