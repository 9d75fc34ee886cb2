// Proxy traps, Reflect, WeakRef, weak collections.
const calls = [];
const target = {a: 1};
const proxy = new Proxy(target, {
    get(t, key, receiver) { calls.push(`get ${String(key)}`); return Reflect.get(t, key, receiver) ?? "default"; },
    set(t, key, value) { calls.push(`set ${key}`); t[key] = value * 2; return true; },
    has(t, key) { calls.push(`has ${key}`); return key.startsWith("a"); },
    deleteProperty(t, key) { calls.push(`delete ${key}`); return delete t[key]; },
    ownKeys(t) { calls.push("ownKeys"); return [...Reflect.ownKeys(t), "virtual"]; },
    getOwnPropertyDescriptor(t, key) { return {value: t[key], enumerable: true, configurable: true}; },
});
proxy.b = 21;
console.log(proxy.a, proxy.b, proxy.none, "abc" in proxy, "xyz" in proxy, Object.keys(proxy), delete proxy.a);
console.log(calls, target);
const callable = new Proxy(function (x) { return x; }, {apply: (f, self, args) => f(...args) + 1, construct: () => ({made: 1})});
console.log(callable(1), new callable());
console.log(Reflect.construct(Date, [0]).getTime(), Reflect.apply(Math.max, null, [1, 2]), Reflect.has({x: 1}, "x"));
const key = {};
const weak = new WeakMap([[key, "value"]]);
console.log(weak.get(key), weak.has({}), weak.delete(key), weak.has(key), new WeakRef(key).deref() === key);
