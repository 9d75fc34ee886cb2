// Top-level await, here and in a dependency.
import {value} from "./lib/slow.mjs";
console.log("main: start", value);
const results = [];
for await (const item of (async function* () { yield 1; yield 2; })())
    results.push(item);
console.log(results);
const answer = await new Promise((resolve) => setTimeout(() => resolve(42), 1));
console.log("main: answer", answer);
console.log(await Promise.allSettled([1, Promise.reject("no")]));
export const done = await "done";
console.log(done);
