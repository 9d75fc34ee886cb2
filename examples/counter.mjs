// A module that stays there to be called and written to:
//   stillctl run -d counter.mjs
//   stillctl call counter add 5        prints 5
//   stillctl send counter '{"by": 2}'
//   stillctl call counter add 0        prints 7
let total = 0;

export function add(n) {
    total += n;
    return total;
}

onmessage = (event) => {
    total += event.data.by;
};
