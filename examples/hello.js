// The smallest one: stillctl run hello.js NAME
console.log(`hello, ${process.argv[2] ?? "world"}`);
