function fact(n) {
  if (n <= 1)
    return 1;
  return n * fact(n - 1);
}
function even(n) { return n === 0 ? true : odd(n - 1); }
function odd(n) { return n === 0 ? false : even(n - 1); }
fact(5);
even(4);
