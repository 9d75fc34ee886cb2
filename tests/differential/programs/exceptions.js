function a() { return b(); }
function b() { try { return c(); } catch (e) { throw new Error("outer " + e.message); } }
function c() { return null.x; }
try { a(); } catch (e) { e.message; }
try { throw 1; } catch (e) { try { throw e + 1; } catch (f) { f; } }
try { [1, 2].forEach(x => { if (x === 2) throw "two"; }); } catch (e) { e; }
function deep(n) { if (n === 0) throw new RangeError("deep"); deep(n - 1); }
try { deep(4); } catch { }
