// process.exitCode is the status of a program that ends by itself.
console.log(process.exitCode);
process.exitCode = 5;
setTimeout(() => {
    console.log("timers still run");
    process.exitCode = 42;
}, 1);
