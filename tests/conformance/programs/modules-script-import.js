// import() from a script.
import("./lib/counter.mjs").then((counter) => {
    counter.increment();
    console.log(counter.count);
}).then(() => import("./lib/counter.mjs")).then(({count}) => console.log("still", count));
console.log("script done");
