// The same from queueMicrotask, which is no promise.
console.log("start");
queueMicrotask(() => { throw new Error("microtask"); });
setTimeout(() => console.log("never printed"), 50);
console.log("end");
