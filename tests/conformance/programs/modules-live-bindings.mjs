// Imports are live and read-only.
import {count, alias, increment} from "./lib/counter.mjs";
import * as counter from "./lib/counter.mjs";
console.log(count, alias, counter.count);
increment();
increment();
console.log(count, alias, counter.count);
try {
    counter.count = 5;
} catch (error) {
    console.log(error instanceof TypeError);
}
console.log(Object.isSealed(counter), Reflect.ownKeys(counter).map(String));
