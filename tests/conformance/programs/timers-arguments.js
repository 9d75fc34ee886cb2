// Further arguments go to the callback; timers can be nested.
setTimeout((...args) => console.log("timeout", args), 1, "a", {b: 1}, [2]);
const interval = setInterval((a, b) => {
    console.log("interval", a, b);
    clearInterval(interval);
}, 60, 1, 2);
setTimeout(function () { console.log(arguments.length); }, 30);
(function next(depth) {
    if (depth <= 3)
        setTimeout(() => { console.log("depth", depth); next(depth + 1); }, 40);
})(1);
