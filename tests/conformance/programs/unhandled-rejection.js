// A rejection that nobody handles ends the program with status 1.
console.log("before");
setTimeout(() => console.log("never printed"), 50);
const handledInTime = Promise.reject(new Error("handled"));
queueMicrotask(() => handledInTime.catch(() => console.log("handled in a microtask")));
Promise.reject(new Error("nobody cares"));
console.log("after");
