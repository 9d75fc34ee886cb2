function counter(start) {
  let n = start;
  return { up: () => ++n, down() { return --n; } };
}
const c = counter(3);
c.up(); c.down();
const adders = [];
for (let i = 0; i < 3; i++)
  adders.push(x => x + i);
adders.map(f => f(10));
(function immediately(a = 1, ...rest) { return rest.length + a; })(undefined, 2, 3);
