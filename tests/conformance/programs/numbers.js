// Numbers, BigInt, Math.
console.log(0.1 + 0.2, 1 / 3, 2 ** 53, 2 ** 53 + 1, -7 % 3, 7 / 0, 5e-324, 1.7976931348623157e308);
console.log(1e21, 123456789012345680000, 1e-6, 1e-7, 0x1F, 0b101, 0o17, 1_000_000);
console.log(2n ** 100n, -7n / 2n, -7n % 3n, 5n << 70n, BigInt("0xffffffffffffffff"), BigInt.asIntN(8, 255n));
console.log(typeof 1n, 1n == 1, 1n === 1, 2n > 1, 10n > 9, BigInt(2 ** 53) + 1n, Number(123n));
console.log(Math.hypot(3, 4), Math.trunc(-4.7), Math.sign(-3), Math.cbrt(27), Math.clz32(1), Math.fround(5.5), Math.imul(3, 4));
console.log(Math.round(-0.5), Math.max(), Math.min(), Math.log2(8), Math.atan2(1, 1) === Math.PI / 4);
console.log(Number("  12 "), Number(""), Number("1x"), +[], +{}, +"0x10", Number(null), Number(undefined));
console.log(parseInt("12px"), parseFloat("3.14.15"), Number.MAX_SAFE_INTEGER, Number.EPSILON > 0, Number.isInteger(5.0));
console.log(~~5.7, 5 >>> 1, -5 >> 1, -5 >>> 28, 1 << 31, 5 & 3, 5 | 3, 5 ^ 3, ~5);
console.log((255).toString(16), (0.5).toString(2), (1e21).toString(7).length, (-1.5).toFixed(0), (2.5).toFixed(0));
const factorial = (n) => n ? n * factorial(n - 1n) : 1n;
console.log(factorial(30n));
console.log([3, 1, 10, 2].sort(), [3, 1, 10, 2].sort((a, b) => a - b), [1, 2, 3].reduce((a, b) => a + b));
