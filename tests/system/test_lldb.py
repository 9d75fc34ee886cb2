"""WebAssembly compiled from C under stock LLDB: places, stacks, values, memory, steps, traps."""

from harness import HANG, check, equal
from lldb_client import Gateway, Lldb, compiled, line_of, number

PROGRAM = r"""
#include <stdio.h>

struct point {
    int x;
    double y;
    struct {
        short low;
        unsigned char high;
    } inside;
};
typedef int (*operation)(int);

volatile int go;
int counter = 100;
static double ratio = 2.5;
int table[4] = {1, 2, 3, 4};

__attribute__((noinline)) static int twice(int v)
{
    int result = v * 2; /* twice */
    return result;
}

__attribute__((noinline)) static int square(int v)
{
    int result = v * v; /* square */
    return result;
}

static operation operations[] = {twice, square};

__attribute__((noinline)) static int inner(int n, const struct point *p, const int *values)
{
    struct point local = *p;
    float half = n / 2.0f;
    long long wide = 1ll << 40;
    int sum = 0;
    for (int i = 0; i < 4; i++)
        sum += values[i]; /* loop */
    local.x = sum + counter; /* inner */
    counter = local.x;
    return local.x + (int)half + (int)(wide >> 40);
}

__attribute__((noinline)) static int outer(int n)
{
    struct point p = {n, ratio, {-7, 200}};
    int got = inner(n, &p, table); /* call */
    got += operations[n & 1](n); /* indirect */
    return got; /* after */
}

int main(int argc, char **argv)
{
    volatile unsigned spins = 0;
    puts("up");
    fflush(stdout);
    while (!go) spins++; /* spin */
    int total = 0;
    for (int i = 0; i < 10; i++)
        total += outer(i); /* each */
    printf("%d arguments, total %d, counter %d\n", argc, total, counter); /* print */
    return total % 100; /* end */
}
"""


COUNTER, TABLE = 100, [1, 2, 3, 4]


def result():
    """What the program computes: its total and its counter."""
    total, counter = 0, COUNTER
    for i in range(10):
        counter += sum(TABLE)
        total += counter + i // 2 + 1 + (i * i if i & 1 else 2 * i)
    return total, counter


def line(mark):
    return line_of(PROGRAM, mark)


def start(t, text=PROGRAM, optimize="-O0", name="app", what=("--world", "default")):
    """The program runs, and an LLDB has stopped it in its loop."""
    path = compiled(t, name, text, optimize)
    vm = t.start("run", "--debug", "--name", name, path)
    equal(vm.stdout.readline(), "up\n")
    return vm, Lldb(t, Gateway(t, what=what))


def functions(thread):
    """Of its stack, those of the program."""
    return [f["function"] for f in thread["frames"] if f["file"] == "app.c"]


def lines(thread):
    return [f["line"] for f in thread["frames"] if f["file"] == "app.c"]


def stopped_by(lldb, reason="breakpoint"):
    """It goes on until it stops; returns the thread that is selected, which has this reason."""
    equal(lldb.go(), "stopped")
    thread = lldb.selected()
    equal(thread["reason"], reason, thread)
    return thread


def leave_loop(lldb):
    lldb.command("expression go = 1")


def finished(t, vm, lldb, total=None, counter=None):
    """It runs to its end; its output and its exit code are right."""
    lldb.detach()
    should = result()
    total, counter = total or should[0], counter or should[1]
    equal(vm.stdout.readline(), f"1 arguments, total {total}, counter {counter}\n")
    equal(vm.wait(HANG), total % 100)


def test_a_breakpoint_at_a_line_and_one_at_a_function_stop_it_with_its_stack_and_its_lines(t):
    vm, lldb = start(t)
    thread = lldb.selected()
    equal((thread["name"], functions(thread), lines(thread)), ("app", ["__main_argc_argv"], [line("spin")]))
    by_line, by_name = lldb.break_line("app.c", line("inner")), lldb.break_function("outer")
    for b in (by_line, by_name):
        equal((b["locations"], b["resolved"]), (1, 1))
    leave_loop(lldb)
    thread = stopped_by(lldb)
    equal(thread["says"], f"breakpoint {by_name['id']}.1")
    equal(functions(thread), ["outer", "__main_argc_argv"])
    thread = stopped_by(lldb)
    equal(thread["says"], f"breakpoint {by_line['id']}.1")
    equal(functions(thread), ["inner", "outer", "__main_argc_argv"])
    equal(lines(thread), [line("inner"), line("call"), line("each")])
    equal([lldb.hit_count(b["id"]) for b in (by_line, by_name)], [1, 1])
    finished(t, vm, lldb)


def test_locals_of_every_type_are_right_in_inner_and_outer_frames(t):
    _, lldb = start(t)
    lldb.break_line("app.c", line("inner"), "n == 5")
    leave_loop(lldb)
    stopped_by(lldb)
    point = {"x": "5", "y": "2.5", "inside": {"low": "-7", "high": "'\\xc8'"}}
    inner = lldb.variables(0)
    equal(inner["local"], point)
    equal({k: inner[k] for k in ("n", "half", "wide", "sum")},
          {"n": "5", "half": "2.5", "wide": str(1 << 40), "sum": "10"})
    equal(lldb.value("p->y"), "2.5")
    equal(lldb.value("*p"), point)
    equal([lldb.value(f"values[{i}]") for i in range(4)], [str(v) for v in TABLE])
    equal(lldb.variables(1)["n"], "5")
    equal(lldb.variables(1)["p"], point)
    main = lldb.variables(2)
    equal((main["argc"], main["i"]), ("1", "5"))
    equal(number(inner["p"]), lldb.address("p", 1) & 0xffffffff)


def test_globals_are_shown_and_what_is_written_to_memory_is_what_the_program_sees(t):
    vm, lldb = start(t)
    equal(lldb.globals("counter"), ["100"])
    equal(lldb.globals("ratio"), ["2.5"])
    equal(lldb.globals("table"), [[str(v) for v in TABLE]])
    where = lldb.command("expression -f hex -- (unsigned)&counter")
    address = number(where.split("=")[1].strip())
    equal(lldb.read(address, 4), (100).to_bytes(4, "little").hex())
    equal(lldb.write(address, (1000).to_bytes(4, "little").hex()), 4)
    equal(lldb.globals("counter"), ["1000"])
    leave_loop(lldb)
    total, counter = result()
    finished(t, vm, lldb, total + 900 * 10, counter + 900)


def test_steps_go_over_calls_into_them_out_of_them_and_around_loops(t):
    _, lldb = start(t)
    b = lldb.break_line("app.c", line("call"))
    leave_loop(lldb)
    stopped_by(lldb)
    lldb.break_remove(b["id"])
    thread = lldb.step("over")
    equal((functions(thread)[0], lines(thread)[0]), ("outer", line("indirect")))
    equal(lldb.value("got"), str(110 + 0 + 1))
    thread = lldb.step("in")
    equal(functions(thread)[:2], ["twice", "outer"])
    equal(lldb.value("v"), "0")
    thread = lldb.step("out")
    equal(functions(thread)[0], "outer")
    for _ in range(3):
        if lines(thread)[0] == line("after"):
            break
        thread = lldb.step("over")
    equal((functions(thread)[0], lines(thread)[0]), ("outer", line("after")))
    lldb.break_line("app.c", line("loop"))
    thread = stopped_by(lldb)
    seen = []
    for _ in range(4):
        seen.append((lldb.value("i"), lldb.value("sum")))
        equal(lldb.go(), "stopped")
    equal(seen, [("0", "0"), ("1", "1"), ("2", "3"), ("3", "6")])


def test_a_step_of_one_instruction_moves_to_the_next(t):
    _, lldb = start(t)
    lldb.break_line("app.c", line("inner"))
    leave_loop(lldb)
    before = stopped_by(lldb)["frames"][0]["pc"]
    for _ in range(8):
        thread = lldb.step("instruction")
        after = thread["frames"][0]["pc"]
        equal(thread["frames"][0]["function"], "inner")
        check(before < after < before + 16, (before, after))
        before = after


def test_a_condition_that_holds_once_stops_it_once(t):
    vm, lldb = start(t)
    b = lldb.break_function("square", "v == 7")
    leave_loop(lldb)
    stopped_by(lldb)
    equal(lldb.value("v"), "7")
    equal(lldb.value("i", 2), "7")
    lldb.begin("go")  # LLDB itself decides what to do about the next hit
    equal(vm.wait(HANG), result()[0] % 100)
    lldb.end()
    equal(lldb.hit_count(b["id"]), 1)


def test_the_instructions_of_a_function_are_shown(t):
    _, lldb = start(t)
    shown = lldb.disassembly("twice")
    for mnemonic in ("local.get", "i32.load", "i32.const", "i32.shl", "i32.store"):
        check(mnemonic in shown, f"{mnemonic} in {shown}")


def test_an_optimized_program_has_its_stack_and_its_lines_too(t):
    vm, lldb = start(t, optimize="-O1")
    lldb.break_function("inner")
    leave_loop(lldb)
    thread = stopped_by(lldb)
    equal(functions(thread), ["inner", "outer", "__main_argc_argv"])
    equal(lines(thread)[1:], [line("call"), line("each")])
    equal(lldb.value("n"), "0")
    finished(t, vm, lldb)


CRASH = r"""
#include <stdio.h>
#include <stdlib.h>

volatile int go, kind, zero;
struct node {
    struct node *next;
};

__attribute__((noinline)) static int crash(int how)
{
    if (how == 0)
        __builtin_trap(); /* unreachable */
    if (how == 1)
        return 7 / zero; /* divide */
    struct node *node = (struct node *)0x7fffff00;
    return node->next != NULL; /* memory */
}

int main(void)
{
    puts("up");
    fflush(stdout);
    while (!go)
        ;
    return crash(kind); /* crash */
}
"""


def trap(t, kind, mark, says):
    path = compiled(t, "app", CRASH)
    vm = t.start("run", "--debug", "--name", "app", path)
    equal(vm.stdout.readline(), "up\n")
    lldb = Lldb(t, Gateway(t))
    lldb.command(f"expression kind = {kind}")
    leave_loop(lldb)
    equal(lldb.go(), "stopped")
    thread = lldb.selected()
    check(says in thread["says"], thread["says"])
    equal(functions(thread), ["crash", "main"])
    equal(lines(thread), [line_of(CRASH, mark), line_of(CRASH, "crash")])
    equal(lldb.value("how"), str(kind))
    lldb.detach()
    equal(vm.wait(HANG), 134)


def test_an_unreachable_instruction_is_a_stop_with_its_stack(t):
    trap(t, 0, "unreachable", "unreachable")


def test_a_division_by_zero_is_a_stop_with_its_stack(t):
    trap(t, 1, "divide", "zero")


def test_an_access_out_of_bounds_is_a_stop_with_its_stack(t):
    trap(t, 2, "memory", "bounds")


def test_the_end_of_the_program_is_the_end_of_the_process_with_its_exit_code(t):
    vm, lldb = start(t, what=("--vm", "app"))
    leave_loop(lldb)
    equal(lldb.go(), "exited")
    equal(lldb.exit_code(), result()[0] % 100)
    equal(vm.wait(HANG), result()[0] % 100)
