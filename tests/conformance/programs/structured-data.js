// A program that works on data and prints reports.
const orders = [
    {id: 1, customer: "ann", items: [{sku: "a1", qty: 2, price: 3.5}, {sku: "b2", qty: 1, price: 10}]},
    {id: 2, customer: "bob", items: [{sku: "a1", qty: 1, price: 3.5}]},
    {id: 3, customer: "ann", items: []},
];
const total = ({items}) => items.reduce((sum, {qty, price}) => sum + qty * price, 0);
const byCustomer = orders.reduce((map, order) =>
    map.set(order.customer, [...(map.get(order.customer) ?? []), {id: order.id, total: total(order)}]), new Map());
console.log(orders);
console.log(byCustomer);
console.log(Object.fromEntries([...byCustomer].map(([name, list]) => [name, list.reduce((s, o) => s + o.total, 0)])));
console.table(orders.map((order) => ({id: order.id, customer: order.customer, total: total(order)})));
console.log(Object.entries({b: 1, a: 2}).sort(([x], [y]) => x < y ? -1 : 1));
console.log(orders.flatMap((order) => order.items.map((item) => item.sku)), new Set(orders.map((o) => o.customer)));
console.log(JSON.parse(JSON.stringify(orders[0])));
const frozen = Object.freeze({list: [1]});
frozen.list.push(2);
console.log(frozen, Object.isFrozen(frozen), Object.getOwnPropertyDescriptors({get x() { return 1; }, y: 2}));
console.log(Object.is(-0, 0), [NaN].includes(NaN), [NaN].indexOf(NaN), [1, [2, [3, [4]]]].flat(Infinity));
console.log([5, 1, 4].sort().reverse(), Array.of(7), Array.from("abc", (c, i) => c + i), [1, 2, 3, 4, 5].copyWithin(0, 3), [3, 4].entries().next());
