// A top-level await that rejects.
console.log("before");
await Promise.reject(new Error("top level"));
console.log("never printed");
