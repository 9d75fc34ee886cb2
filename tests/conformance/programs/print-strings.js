// Quotes and escapes inside objects, long strings.
console.log(["plain", "it's", 'say "hi"', `it's "both"`, "`it's \"all\"`", "${it's \"all\"}"]);
console.log(["tab\t", "nl\n", "cr\r", "bs\b", "ff\f", "vt\v", "nul\0", "esc\x1b", "del\x7f", "\x80\x9f", "back\\slash"]);
console.log(["é", "日本語", "😀", "\ud83d", "\ude00x", "a\u2028b", "\u200b", "\ufeff"]);
console.log({"key'quote": 1, 'key"quote': 2, "new\nline": 3, "tab\t": 4});
console.log(["a\nb"], {text: "first line\nsecond line"});
console.log(["first line that is quite long\nsecond line that is quite long\nthird line that is quite long"]);
console.log({deep: {text: "first line that is quite long\nsecond line that is quite long\nthird line, long"}});
console.log("raw\ttext 'as' \"is\" \\ \u00e9");
console.log(["x".repeat(200)]);
console.log(["y".repeat(10001)]);
console.log([("z".repeat(40) + "\n").repeat(3)]);
console.log(new Map([["key\n", "value\n"]]), new Set(["it's"]));
