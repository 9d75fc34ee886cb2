async function leaf(x) { await null; return x + 1; }
async function tree() {
  const a = await leaf(1);
  const [b, c] = await Promise.all([leaf(a), leaf(a + 1)]);
  return b + c;
}
async function fails() { await leaf(0); throw new TypeError("late"); }
tree().then(x => x * 2);
fails().catch(e => e.message).finally(() => { debugger; });
(async () => { try { await fails(); } catch { return "caught"; } })();
