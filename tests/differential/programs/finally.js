function overrides() { try { return 1; } finally { return 2; } }
function swallows() { try { throw 1; } finally { return 3; } }
function runs() { let n = 0; for (const x of [1, 2, 3]) { try { if (x === 2) continue; n += x; } finally { n += 10; } } return n; }
function labelled() { outer: for (;;) { try { for (;;) { break outer; } } finally { debugger; } } return "out"; }
overrides();
swallows();
runs();
labelled();
