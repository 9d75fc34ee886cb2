// Typed arrays, views, byte order.
const buffer = new ArrayBuffer(8);
const view = new DataView(buffer);
view.setUint16(0, 0x1234);
view.setUint16(2, 0x1234, true);
view.setFloat32(4, 1.5);
console.log(new Uint8Array(buffer), view.getUint32(0).toString(16));
const bytes = new Uint8Array(buffer, 2, 4);
bytes.set([9, 8], 1);
console.log(bytes, bytes.subarray(1, 3), bytes.slice(1, 3).buffer.byteLength);
console.log(Uint8Array.from("12345"), Int8Array.of(127, 128, 129), new Uint8ClampedArray([1.5, 2.5, -1, 256]));
console.log([...new Uint16Array([3, 1, 2]).sort()], new Float32Array([0.1])[0], new Float64Array(2).fill(7));
console.log(new Uint8Array([1, 2, 3]).map((x) => x * 100), new Int32Array([1, 2, 3]).reduce((a, b) => a + b));
console.log(new BigUint64Array([2n ** 64n - 1n, -1n]), new Uint32Array([2 ** 32 + 5]));
console.log(buffer.slice(0, 2), ArrayBuffer.isView(view), bytes.byteOffset, Uint32Array.BYTES_PER_ELEMENT);
const copy = new Uint8Array([1, 2, 3, 4, 5]);
copy.copyWithin(0, 3);
console.log(copy, copy.indexOf(5), copy.includes(9), copy.join("-"), copy.at(-1), Object.keys(copy));
copy[10] = 5;
console.log(copy[10], copy.length, "10" in copy);
try { new Uint16Array(buffer, 1); } catch (e) { console.log(e.name); }
