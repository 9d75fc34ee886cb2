// clearTimeout and clearInterval, also from inside callbacks.
const never = setTimeout(() => console.log("never"), 1);
clearTimeout(never);
clearTimeout(never);
clearTimeout(undefined);
clearTimeout(12345678);
clearInterval(null);
const later = setTimeout(() => console.log("never either"), 80);
setTimeout(() => {
    console.log("clearing");
    clearTimeout(later);
}, 20);
let ticks = 0;
const interval = setInterval(() => {
    console.log("tick", ++ticks);
    if (ticks === 3)
        clearInterval(interval);
}, 50);
const once = setInterval(() => {
    console.log("interval cleared by clearTimeout");
    clearTimeout(once);
}, 1);
const itself = setTimeout(() => {
    clearTimeout(itself);
    console.log("clears itself");
}, 250);
