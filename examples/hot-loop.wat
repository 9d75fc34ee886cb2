;; The same in WebAssembly: a command for which `stillctl run hot-loop.wasm` needs no JavaScript.
;; hot-loop.wasm is made from this file: wat2wasm hot-loop.wat
(module
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 1))
  (func (export "_start")
    (loop $again
      global.get $n
      i32.const 1664525
      i32.mul
      i32.const 1013904223
      i32.add
      global.set $n
      br $again)))
