// A main module with exports of every form; it sees itself as others do.
import * as self from "./exports.mjs";
export const constant = 1;
export let changing = "before";
export function add(a, b) { return a + b; }
export async function later(value) { await null; return {value}; }
export class Thing { constructor() { this.made = true; } }
export default (name) => `hello ${name}`;
const local = [1, 2];
export {local as renamed, add as "string name"};
changing = "after";
console.log(self);
console.log(self.default("world"), self.default.name, self.add(1, 2), self["string name"] === add);
console.log(await self.later(5), new self.Thing(), self.changing);
console.log(Object.getOwnPropertyDescriptor(self, "constant"), self[Symbol.toStringTag], "missing" in self);
