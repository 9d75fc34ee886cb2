// all, allSettled, any, race, finally.
const ok = (v) => Promise.resolve(v);
const no = (v) => Promise.reject(v);
console.log(await Promise.all([1, ok(2), {then: (f) => f(3)}]));
console.log(await Promise.allSettled([ok(1), no("bad"), 3]));
console.log(await Promise.any([no(1), ok(2), ok(3)]));
console.log(await Promise.race([new Promise(() => {}), ok("won")]));
console.log(await Promise.all([]), await Promise.allSettled([]));
const aggregate = await Promise.any([no(1), no(2)]).catch((e) => e);
console.log(aggregate instanceof AggregateError, aggregate.errors);
console.log(await ok(1).finally(() => 2), await no(1).finally(() => {}).catch((e) => `still ${e}`));
console.log(await no(new TypeError("x")).catch((e) => e.name));
