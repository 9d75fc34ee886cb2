// Idle nearly all the time: a line every 100 ms of the world clock, which stands still in a stop.
let ticks = 0;
setInterval(() => console.log(`tick ${++ticks} at ${Math.round(performance.now())} ms`), 100);
