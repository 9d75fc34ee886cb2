// Modules that import each other.
import {described, seen} from "./lib/cycle-a.mjs";
import {early} from "./lib/cycle-b.mjs";
console.log(seen);
console.log(early);
console.log(described());
