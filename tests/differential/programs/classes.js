class Base {
  field = this.init();
  static count = 0;
  static { Base.count = 1; }
  #secret = 5;
  constructor(x) { this.x = x; }
  init() { return "init"; }
  get secret() { return this.#secret; }
}
class Derived extends Base {
  other = 2;
  constructor() { super(3); this.y = super.init(); }
  init() { return super.init() + "ed"; }
}
const d = new Derived();
d.secret;
class Plain extends Derived {}
new Plain();
try { Base(); } catch { }
