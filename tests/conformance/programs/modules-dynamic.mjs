// import() at run time.
const order = [];
const loading = import("./lib/shapes.mjs").then((ns) => {
    order.push("loaded");
    return ns;
});
order.push("after the call");
const {default: Shape, PI} = await loading;
console.log(order, PI, new Shape("dynamic"));
console.log(await import("./lib/counter.mjs") === await import("./lib/counter.mjs"));
const name = ["deep"].map((stem) => `./lib/nested/${stem}.mjs`)[0];
console.log((await import(name)).default);
try {
    await import("./lib/throws.mjs");
} catch (error) {
    console.log("caught:", error.message);
}
try {
    await import("./lib/throws.mjs");
} catch (error) {
    console.log("again:", error.message);
}
const missing = await import("./lib/does-not-exist.mjs").then(() => "found", () => "rejected");
console.log(missing);
console.log(await Promise.all(["shapes", "counter"].map(async (m) => Object.keys(await import(`./lib/${m}.mjs`)).length)));
