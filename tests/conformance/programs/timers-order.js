// Timers run in the order of their times, equal times in the order they were made.
const log = (text) => () => console.log(text);
setTimeout(log("90"), 90);
setTimeout(log("30 first"), 30);
setTimeout(log("60"), 60);
setTimeout(log("30 second"), 30);
setTimeout(log("0 first"), 0);
setTimeout(log("1"), 1);
setTimeout(log("no delay"));
setTimeout(log("negative"), -5);
setTimeout(log("not a number"), "soon");
console.log("synchronous");
