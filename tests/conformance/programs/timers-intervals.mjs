// Several intervals, awaited.
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let fast = 0;
const timer = setInterval(() => fast++, 1);
await sleep(50);
clearInterval(timer);
const atClear = fast;
console.log(fast > 1);
await sleep(10);
console.log(fast === atClear);
const order = [];
await Promise.all([sleep(30).then(() => order.push("slow")), sleep(1).then(() => order.push("fast"))]);
console.log(order);
console.log(await Promise.race([sleep(40).then(() => "late"), sleep(1).then(() => "early")]));
