// SharedArrayBuffer and Atomics within one thread.
const shared = new SharedArrayBuffer(16);
const ints = new Int32Array(shared);
console.log(Atomics.add(ints, 0, 5), Atomics.load(ints, 0), Atomics.sub(ints, 0, 2), Atomics.exchange(ints, 0, 9));
console.log(Atomics.compareExchange(ints, 0, 9, 1), Atomics.compareExchange(ints, 0, 9, 2), Atomics.load(ints, 0));
console.log(Atomics.or(ints, 1, 6), Atomics.and(ints, 1, 3), Atomics.xor(ints, 1, 1), Atomics.store(ints, 2, 7));
console.log(ints, shared.byteLength, Atomics.notify(ints, 0, 1), Atomics.isLockFree(4));
console.log(Atomics.wait(ints, 0, 0, 0), Atomics.wait(ints, 3, 0, 5));
const big = new BigInt64Array(shared);
console.log(Atomics.add(big, 1, 1n), big[1]);
console.log(new Uint8Array(shared)[0], shared.slice(0, 4) instanceof SharedArrayBuffer);
