// process.exit ends the program at once, with its status.
setTimeout(() => console.log("never printed"), 0);
Promise.resolve().then(() => console.log("never printed"));
try {
    console.log("before");
    process.exit(7);
} catch {
    console.log("exit is not an exception");
} finally {
    console.log("nor does finally run");
}
console.log("never printed");
