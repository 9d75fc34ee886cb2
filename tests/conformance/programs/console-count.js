// Counters, labels.
console.count();
console.count();
console.count("label");
console.count("default");
console.countReset("label");
console.count("label");
console.count(undefined);
console.count(5);
console.countReset();
console.count();
