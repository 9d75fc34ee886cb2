// process.exit from a promise job, without a status: process.exitCode counts.
process.exitCode = 3;
setTimeout(() => console.log("never printed"), 50);
setTimeout(async () => {
    await null;
    console.log("leaving");
    process.exit();
}, 1);
await new Promise(() => {});
