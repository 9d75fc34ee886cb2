import * as self from "./tdz.mjs";
console.log(self);
export const late = 1;
export function early() {}
console.log(self);
