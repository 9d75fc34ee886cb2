// Computes for ever and never gives the processor away: no timer, no call of the host. A stop has to
// interrupt the loop itself.
console.log("computing");
let n = 1;
for (;;)
    n = (Math.imul(n, 1664525) + 1013904223) >>> 0;
