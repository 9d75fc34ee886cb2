// String operations.
console.log("abc".at(-1), "abc".padStart(5, "*"), "abc".padEnd(6, "12"), "ab".repeat(3));
console.log("  trim ".trim() + "|", "  trim ".trimStart() + "|", "  trim ".trimEnd() + "|");
console.log("Hello".split(""), [..."héllo😀"], "😀".length, "😀".codePointAt(0).toString(16));
console.log("abc".localeCompare === undefined, "abc" < "abd", "a".charCodeAt(0), String.fromCodePoint(128512));
console.log("one two three".split(" ", 2), "a-b_c".split(/[-_]/), "banana".lastIndexOf("an"));
console.log("abcdef".slice(-3, -1), "abcdef".substring(4, 1), "x".concat(1, null), "abc".includes("bc"));
console.log("\u0041\x42\103".length, "é".normalize("NFD").length, "ß".toUpperCase(), "İ".length);
console.log(escape("ü"), encodeURIComponent("a b&ü"), decodeURIComponent("%E2%82%AC"), encodeURI("a b?x=ü"));
console.log((25).toString(36), parseInt("zz", 36), (0.1 + 0.2).toFixed(2), (1234.5678).toExponential(2), (0.00001).toPrecision(1));
console.log(String(Symbol("d")), String(null), String([1, [2, 3]]), String({}), `${[]}`);
console.log(JSON.stringify({a: [1, {b: 2}], c: undefined, d: () => 1, e: new Date(0), f: NaN}, null, 2));
console.log(JSON.stringify("\u2028\ud800"), JSON.parse('{"x":[1,2,{"y":null}]}', (k, v) => k === "y" ? "revived" : v));
