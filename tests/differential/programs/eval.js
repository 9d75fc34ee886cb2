const x = 1;
eval("x + 1;\nx + 2");
(0, eval)("function made() { return typeof x; }\nmade();");
new Function("a", "b", "return a + b;")(1, 2);
function local() { const y = 2; return eval("let z = y;\nz * 2"); }
local();
try { eval("syntax error here"); } catch (e) { e.name; }
"use strict";
(function strict() { "use strict"; return eval("var v = 1; v"); })();
