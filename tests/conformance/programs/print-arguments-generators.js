// Arguments objects and generators.
function sloppy() { return arguments; }
function strict() { "use strict"; return arguments; }
console.log(sloppy(), sloppy(1, "two", {three: 3}), strict(1));
console.log([sloppy(1)]);
function* generator() { yield 1; }
const running = generator();
running.next();
console.log(generator(), running, generator, generator.prototype);
console.log(Object.assign(generator(), {note: 1}));
