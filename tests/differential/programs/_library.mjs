export const state = { n: 0 };
export function twice(x) { return add(x, x); }
function add(a, b) { return a + b; }
