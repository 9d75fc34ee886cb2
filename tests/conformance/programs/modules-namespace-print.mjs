// A namespace object as console.log shows it.
import * as shapes from "./lib/shapes.mjs";
import * as counter from "./lib/counter.mjs";
import * as throwsNothing from "./lib/side-effect.mjs";
import "./lib/tdz.mjs";
console.log(shapes);
console.log(counter, throwsNothing);
console.log({a: {b: {c: counter}}}, [counter]);
