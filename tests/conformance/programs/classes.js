// Fields, private members, static blocks, accessors, super.
class Account {
    #balance = 0;
    static #instances = 0;
    static limits = {max: 100};
    static { this.ready = "static block ran"; }
    owner = "nobody";
    constructor(owner) { this.owner = owner; Account.#instances++; }
    get balance() { return this.#balance; }
    set balance(v) { this.#check(v); this.#balance = v; }
    #check(v) { if (v > Account.limits.max) throw new RangeError("too much"); }
    static get instances() { return Account.#instances; }
    static is(o) { return #balance in o; }
    toString() { return `${this.owner}: ${this.#balance}`; }
}
class Savings extends Account {
    rate = 2;
    toString() { return `${super.toString()} at ${this.rate}%`; }
    static create(...args) { return new this(...args); }
}
const s = Savings.create("ann");
s.balance = 50;
console.log(s, `${s}`, Account.ready, Account.instances, Account.is(s), Account.is({}));
try { s.balance = 500; } catch (e) { console.log(e.name, e.message); }
console.log(s instanceof Account, Savings.name, Object.getOwnPropertyNames(Savings.prototype));
const mixin = (Base) => class extends Base { mixed() { return "mixed"; } };
class Mixed extends mixin(Savings) {}
console.log(new Mixed("bob").mixed(), new Mixed("eve"));
class Even { static [Symbol.hasInstance](n) { return n % 2 === 0; } }
console.log(2 instanceof Even, 3 instanceof Even);
class Temp { static #c = 1; static bump() { return ++Temp.#c; } ["com" + "puted"]() { return 1; } }
console.log(Temp.bump(), new Temp().computed(), typeof Temp);
console.log(new (class { constructor() { return {replaced: true}; } })());
const prim = {[Symbol.toPrimitive](hint) { return hint === "number" ? 42 : hint; }};
console.log(+prim, `${prim}`, prim + "");
