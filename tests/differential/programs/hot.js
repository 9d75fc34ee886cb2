function add(a, b) { return a + b; }
let total = 0;
for (let i = 0; i < 300; i++)
  total = add(total, i);
debugger;
