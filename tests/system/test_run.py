"""stillctl run: consoles, exit codes, kinds of program, and what is refused."""

import os
import signal
import time

import wasm
from harness import check, equal, wait_until


def test_console_goes_to_stdout_and_stderr(t):
    path = t.file("a.js", "console.log('out', 1); console.error('err'); console.warn('warn')")
    r = t.ctl("run", path)
    equal(r.out, "out 1\n")
    equal(r.err, "err\nwarn\n")


def test_arguments_reach_the_program(t):
    path = t.file("a.js", "console.log(JSON.stringify(process.argv.slice(2)))")
    r = t.ctl("run", path, "one", "--two", "3 4", "ä")
    equal(r.out, '["one","--two","3 4","ä"]\n')


def test_exit_code_is_the_programs(t):
    for code in (0, 1, 7, 255):
        t.ctl("run", t.file("a.js", f"process.exit({code})"), code=code)
    t.ctl("run", t.file("a.js", "process.exitCode = 9"), code=9)


def test_uncaught_exception_is_1_and_says_where(t):
    r = t.ctl("run", t.file("thrower.js", "\n\nthrow new Error('no luck')"), code=1)
    check("no luck" in r.err and "thrower.js:3" in r.err, r)


def test_unhandled_rejection_is_1(t):
    r = t.ctl("run", t.file("a.js", "Promise.reject(new Error('nobody cares'))"), code=1)
    check("nobody cares" in r.err, r)


def test_timers_run_in_order_and_then_the_program_ends(t):
    r = t.ctl("run", t.file("a.js", "setTimeout(() => console.log(2), 20);"
                                    "setTimeout(() => console.log(1), 10); console.log(0)"))
    equal(r.out, "0\n1\n2\n")


def test_modules_import_from_the_programs_folder(t):
    t.file("lib/b.mjs", "import { c } from './c.js'; export const b = 'b' + c;")
    t.file("lib/c.js", "export const c = 'c';")
    r = t.ctl("run", t.file("a.mjs", "import { b } from './lib/b.mjs'; console.log(b);"
                                     "console.log((await import('./lib/c.js')).c)"))
    equal(r.out, "bc\nc\n")


def test_modules_do_not_come_from_outside_the_folder(t):
    t.file("secret.js", "export default 'secret'")
    for how in ("import s from '../secret.js'; console.log(s)",
                "console.log((await import('../secret.js')).default)"):
        r = t.ctl("run", t.file("inner/a.mjs", how), code=1)
        check("secret\n" not in r.out, r)
    os.symlink("../secret.js", os.path.join(t.work, "inner", "link.js"))
    r = t.ctl("run", t.file("inner/a.mjs", "import s from './link.js'; console.log(s)"), code=1)
    check("secret\n" not in r.out, r)


def test_js_with_import_is_retried_as_a_module(t):
    t.file("b.js", "export const b = 5")
    equal(t.ctl("run", t.file("a.js", "import { b } from './b.js'; console.log(b)")).out, "5\n")


def test_wasm_runs_directly(t):
    equal(t.ctl("run", t.file("a.wasm", wasm.prints("from wasm\n"))).out, "from wasm\n")
    r = t.ctl("run", t.file("b.wasm", wasm.prints("bad\n", exit_code=42, stream=2)), code=42)
    equal((r.out, r.err), ("", "bad\n"))


def test_wasm_trap_is_134(t):
    r = t.ctl("run", t.file("a.wasm", wasm.command(wasm.UNREACHABLE)), code=134)
    check("unreachable" in r.err, r)


def test_timeout_is_124(t):
    start = time.monotonic()
    t.ctl("run", "--timeout", "300ms", t.file("a.js", "for (;;);"), code=124)
    t.ctl("run", "--timeout", "300ms", t.file("b.js", "setInterval(() => 0, 1000)"), code=124)
    t.ctl("run", "--timeout", "300ms", t.file("c.wasm", wasm.command(wasm.FOREVER)), code=124)
    check(time.monotonic() - start < 20, "three time-outs of 300 ms are over in 20 s")


def test_a_killed_program_is_137(t):
    p = t.start("run", "--name", "victim", t.file("a.js", "console.log('up'); for (;;);"))
    equal(p.stdout.readline(), "up\n")
    t.ctl("kill", "victim")
    equal(p.wait(30), 137)


def test_out_of_memory_is_137_and_the_neighbour_lives(t):
    t.spawn("neighbour", "setInterval(() => 0, 10)")
    path = t.file("a.js", "const a = []; for (;;) a.push(new ArrayBuffer(1 << 20).slice(0))")
    t.ctl("run", "--memory", "64M", path, code=137, timeout=60)
    check(t.vm("neighbour")["state"] in ("idle", "active"), t.vm("neighbour"))


def test_interrupt_kills_the_vm_and_is_130(t):
    p = t.start("run", "--name", "app", t.file("a.js", "console.log('up'); for (;;);"))
    equal(p.stdout.readline(), "up\n")
    p.send_signal(signal.SIGINT)
    equal(p.wait(30), 130)
    wait_until(lambda: t.list() == [], "the VM is gone")


def test_an_attached_vm_dies_with_its_client(t):
    p = t.start("run", "--name", "app", t.file("a.js", "console.log('up'); for (;;);"))
    equal(p.stdout.readline(), "up\n")
    p.kill()
    p.wait()
    wait_until(lambda: t.list() == [], "the VM is gone")


def test_a_lot_of_output_arrives_whole(t):
    r = t.ctl("run", t.file("a.js", "for (let i = 0; i < 50000; i++) console.log('line ' + i)"))
    equal(r.out, "".join(f"line {i}\n" for i in range(50000)))


def test_names_come_from_the_file_and_are_unique(t):
    path = t.file("app.js", "")
    for _ in range(3):
        t.ctl("run", "-d", path)
    equal(sorted(vm["name"] for vm in t.list()), ["app", "app-2", "app-3"])


def test_a_name_that_is_taken_is_refused(t):
    t.spawn("taken", "")
    path = t.file("other.js", "")
    t.refused("run", "--name", "taken", path, code=125, says="taken")
    t.refused("run", "-d", "--name", "taken", path, code=1, says="taken")


def test_bad_names_are_refused(t):
    path = t.file("a.js", "")
    for name in ("", "a/b", "../a", "17", ".", "..", "a b", "n" * 65, "ä", "a\nb"):
        t.refused("run", "--name", name, path, code=2)
        t.refused("run", "-d", "--name", name, path, code=2)
    t.ctl("run", "--name", "n" * 64, path)


def test_a_missing_file_is_refused(t):
    t.refused("run", "/nowhere/app.js", code=125, says=["/nowhere/app.js", "No such file"])
    t.refused("run", "-d", "/nowhere/app.js", code=1, says=["/nowhere/app.js", "No such file"])
    t.refused("run", t.work, code=125, says="irectory")


def test_an_unreadable_file_is_refused(t):
    path = t.file("a.js", "")
    os.chmod(path, 0)
    if os.geteuid() == 0:  # who reads every file
        t.ctl("run", path)
        return
    t.refused("run", path, code=125, says="Permission denied")


def test_a_syntax_error_says_file_line_and_column(t):
    path = t.file("broken.js", "let fine = 1;\nlet x = = 2;\n")
    r = t.ctl("run", path, code=1)
    check("broken.js:2:9" in r.err and "SyntaxError" in r.err, r)
    t.refused("run", "-d", path, code=1, says=["broken.js:2:9", "SyntaxError"])
    wait_until(lambda: t.list() == [], "the VM is gone")


def test_a_syntax_error_in_an_import_says_which_file(t):
    t.file("lib.js", "export const a = ;\n")
    r = t.ctl("run", t.file("main.mjs", "import { a } from './lib.js'; console.log(a)"), code=1)
    check("lib.js:1:18" in r.err, r)


def test_what_is_not_wasm_is_refused(t):
    for content in (b"", b"garbage", b"\0asm", b"\0asm\x01\0\0\0\xff\xff\xff", b"\0asm\x02\0\0\0"):
        path = t.file("bad.wasm", content)
        r = t.ctl("run", path, code=1)
        check("bad.wasm" in r.err and len(r.err.splitlines()) == 1, r)
        t.refused("run", "-d", path, code=1, says="bad.wasm")


def test_limits_that_make_no_sense_are_usage_errors(t):
    path = t.file("a.js", "")
    for bad in (("--memory", "lots"), ("--memory", "-1"), ("--timeout", "soon"), ("--cpu", "much"),
                ("--no-such-option",)):
        t.refused("run", *bad, path, code=2)
    t.refused("run", code=2)


def test_a_program_that_is_over_at_once_was_ready(t):
    path = t.file("over.js", "process.exit(0)")
    for _ in range(5):
        t.ctl("run", "-d", "--ready", path)
    t.refused("run", "-d", "--ready", t.file("no.js", "throw new Error('no')"), code=1, says="Error: no")


def test_an_empty_program_is_fine(t):
    r = t.ctl("run", t.file("a.js", ""))
    equal((r.out, r.err), ("", ""))


def test_a_program_with_strange_bytes_is_refused_or_runs_but_harms_nobody(t):
    t.ctl("run", t.file("a.js", b"\xff\xfe\x00\x01"), code=1)
    t.ctl("run", t.file("b.js", b"console.log('\xff')"), code=None)
    equal(t.ctl("run", t.file("c.js", "console.log('still here')")).out, "still here\n")
