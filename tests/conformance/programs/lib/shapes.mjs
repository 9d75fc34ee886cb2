export default class Shape {
    constructor(name) { this.name = name; }
}
export class Square extends Shape {
    constructor(side) { super("square"); this.side = side; }
}
export const PI = 3.14;
export const areas = {square: (s) => s.side ** 2};
