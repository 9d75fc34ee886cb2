// A proxy is printed as its target, without calling its traps.
const trapped = [];
const handler = new Proxy({}, {get(_, trap) { trapped.push(trap); return undefined; }});
console.log(new Proxy({a: 1, b: {c: 2}}, handler));
console.log(new Proxy([1, 2, 3], handler), new Proxy(function f() {}, handler), new Proxy(class K {}, handler));
console.log({nested: new Proxy(new Map([[1, 2]]), handler)});
console.log(trapped);
console.log(new Proxy(new Proxy({inner: true}, {}), {}));
console.dir(new Proxy({a: 1}, {}), {showProxy: true});
const {proxy, revoke} = Proxy.revocable({}, {});
revoke();
console.log(proxy, [proxy]);
