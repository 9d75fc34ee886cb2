// Instances, classes, inheritance.
class Empty {}
class Point {
    constructor(x, y) { this.x = x; this.y = y; }
    get length() { return 5; }
    method() {}
    static origin = "here";
}
class Point3 extends Point {
    z = 3;
    #hidden = 4;
    hidden() { return this.#hidden; }
}
console.log(new Empty(), new Point(1, 2), new Point3(1, 2));
console.log(Empty, Point, Point3, class {}, class extends Point {});
console.log({Point, p: new Point(1, 2)}, [Point3]);
class List extends Array {}
class Dict extends Map {}
class Bag extends Set {}
class Bytes extends Uint8Array {}
class Later extends Promise {}
class Pattern extends RegExp {}
class Day extends Date {}
console.log(List.from([1, 2]), new List(), new Dict([[1, 2]]), new Bag([1]), new Bag());
console.log(new Bytes(2), Later.resolve(1), new Pattern("a+", "g"), new Day(0));
function Old(name) { this.name = name; }
Old.prototype.greet = function () {};
console.log(new Old("kind"), Old);
console.log(new (class {})(), new (class { a = 1; })());
const anonymousParent = new (class extends Point {})(1, 2);
console.log(anonymousParent);
console.log(Point.prototype, Object.create(Point.prototype));
console.log([new Point(1, 2), new Point(3, 4)], {deep: {deeper: {deepest: new Point(1, 2)}}});
