import { twice, state } from "./_library.mjs";
import * as everything from "./_library.mjs";
export const answer = twice(21);
state.n++;
Promise.resolve().then(() => {}); // so that nothing goes on behind the next await at once
const got = await Promise.resolve(everything.state.n);
debugger;
export default function named() { return got; }
named();
