// What goes to standard error.
console.log("log");
console.info("info");
console.debug("debug");
console.warn("warn");
console.error("error", {a: 1});
console.error("%s and %d", "formatted", 2);
console.assert(true, "not shown");
console.assert(false);
console.assert(false, "shown %s", "with format");
console.assert(1 === 2, {object: true});
console.group("group");
console.error("indented\ntoo");
console.groupEnd();
console.log("end");
