// The same from a timer.
console.log("start");
setTimeout(() => { throw {not: "an error"}; }, 1);
setTimeout(() => console.log("never printed"), 50);
setTimeout(() => console.log("first timer"), 0);
