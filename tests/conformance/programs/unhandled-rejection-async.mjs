// The same from an async function, later.
console.log("start");
setTimeout(async () => {
    console.log("throwing");
    throw new RangeError("from an async timer");
}, 1);
setTimeout(() => console.log("never printed"), 100);
