// Promise jobs and microtasks run before the next timer.
console.log("start");
setTimeout(() => {
    console.log("timer 1");
    Promise.resolve().then(() => console.log("job of timer 1"));
    queueMicrotask(() => console.log("microtask of timer 1"));
}, 0);
setTimeout(() => console.log("timer 2"), 0);
queueMicrotask(() => {
    console.log("microtask 1");
    queueMicrotask(() => console.log("nested microtask"));
});
Promise.resolve().then(() => console.log("job 1")).then(() => console.log("job 2"));
(async () => {
    console.log("async start");
    await null;
    console.log("async after await");
    await new Promise((resolve) => setTimeout(resolve, 30));
    console.log("async after timer");
})();
console.log("end");
