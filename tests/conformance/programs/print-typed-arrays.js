// Typed arrays, buffers, views.
console.log(new Uint8Array(), new Uint8Array([1, 2, 3]), new Int16Array([-1, 0, 1]));
console.log(new Float32Array([0.5, -0, NaN, Infinity]), new Float64Array([0.1, 1e21]));
console.log(new BigInt64Array([1n, -1n]), new BigUint64Array(2), new Uint8ClampedArray([300, -5]));
console.log(Uint8Array.from({length: 30}, (_, i) => i * 8));
console.log(new Uint16Array(120));
console.log(new ArrayBuffer(0), new ArrayBuffer(8), Uint8Array.of(1, 171, 255).buffer);
console.log(new ArrayBuffer(120));
console.log(new SharedArrayBuffer(3));
console.log(new DataView(new ArrayBuffer(4), 1, 2));
console.log({a: {b: {c: new Uint8Array(3), d: new ArrayBuffer(1)}}}, [new Uint8Array(2)]);
console.log(Object.assign(new Uint8Array(2), {extra: 1}));
