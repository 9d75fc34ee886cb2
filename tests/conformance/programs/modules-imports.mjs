// The forms of import and export.
import Shape, {Square, PI as pi, areas} from "./lib/shapes.mjs";
import * as shapes from "./lib/shapes.mjs";
import deep, {Shape as SameShape, counter, tau} from "./lib/reexports.mjs";
import {path} from "./lib/nested/deep.mjs";
import "./lib/side-effect.mjs";
import "./lib/side-effect.mjs";
console.log(new Shape("blob"), new Square(3), pi, areas.square(new Square(3)));
console.log(shapes.default === Shape, SameShape === Shape, tau, deep, path);
console.log(Object.keys(shapes), typeof counter.increment);
console.log(typeof import.meta, import.meta.url.split("/").pop());
console.log(this === undefined, sideEffects);
export {pi as exported};
