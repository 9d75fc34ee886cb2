function sw(x) {
  switch (x) {
    case 1: return "one";
    case 2:
    case 3: x++; break;
    default: x = 0;
  }
  return x;
}
sw(1); sw(2); sw(9);
let n = 0;
while (n < 2) { n++; }
do { n--; } while (n > 0);
for (const k in { a: 1, b: 2 }) { if (k === "a") continue; void k; }
a: { if (n === 0) break a; n = 5; }
n ? sw(3) : n || sw(1) && n;
