console.log("slow: start");
await new Promise((resolve) => setTimeout(resolve, 5));
console.log("slow: end");
export const value = "slow value";
