// An exception nobody catches ends the program with status 1; what was printed stays.
console.log("before");
setTimeout(() => console.log("never printed"), 50);
Promise.resolve().then(() => console.log("never printed either"));
function inner() { throw new TypeError("uncaught"); }
inner();
