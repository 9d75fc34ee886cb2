function inner() { throw new Error("nobody"); }
function outer() { try { inner(); } finally { debugger; } }
outer();
