console.log("side effect runs once");
globalThis.sideEffects = (globalThis.sideEffects || 0) + 1;
