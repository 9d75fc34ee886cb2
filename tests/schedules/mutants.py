#!/usr/bin/env python3
"""Shows that the explorer bites: builds copies of the sources with one thing wrong in each, and
expects that it finds every one of them in the scenario named, within a small budget.

Called by make with CC (a command with its flags), OBJECTS (what to link) and SRCDIR in the
environment. Prints TAP. With names as arguments: only those.
"""

import concurrent.futures
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

GATE, STOP, WORLD = "shared-mem/gate.c", "shared-mem/stop.c", "daemon/world.c"
TICKETS, TICKET, CAST = "daemon/world_ticket.c", "daemon/ticket.c", "tests/schedules/cast.c"

# name: (file, scenario, text, replacement, …). Each text must be there exactly once; more pairs may
# follow. A scenario may be "scenario conductor".
MUTANTS = {
    # ---- the worker's half
    "leaves a park at a safe point without looking again": (
        GATE, "two-stops-back-to-back",
        "    int r = gate_park(g);\n    return r != 0 ? r : gate_enter(g);",
        "    int r = gate_park(g);\n    SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING));\n    return r;"),
    "leaves a park at an entry without looking again": (
        GATE, "enters-between-two-stops",
        "        int r = gate_park(g);\n        if (r != 0)\n            return r;\n    }\n}\n\nvoid gate_leave",
        "        int r = gate_park(g);\n        SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING));\n        return r;\n    }\n}\n\nvoid gate_leave"),
    "enters without looking": (
        GATE, "enters-while-stopped",
        "SHM_RUNNING));\n        if (!g->asked && gate_is_open(g))\n            return 0;",
        "SHM_RUNNING));\n        return 0;"),
    "looks before it stores running": (
        GATE, "enters-while-stopped",
        "        SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING));\n        if (!g->asked && gate_is_open(g))\n            return 0;",
        "        bool open = !g->asked && gate_is_open(g);\n        SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING));\n        if (open)\n            return 0;"),
    "a kick is answered in a park only": (
        GATE, "last-straggler-goes-idle",
        "    gate_arrive(g, state, gate_epoch(g));\n",
        "    SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), state));\n"),
    "a kick is not answered in a park": (
        GATE, "busy-stop-resume",
        "        gate_arrive(g, SHM_PARKED, epoch);",
        "        SHM_XCHG(&g->status->word, shm_status_word(epoch, SHM_PARKED));"),
    "looks at the kick before it shows its state": (
        GATE, "busy-stop-resume",
        "    SHM_XCHG(&g->status->word, shm_status_word(epoch, state));\n    uint32_t kick = SHM_LOAD(&g->command->kick);",
        "    uint32_t kick = SHM_LOAD(&g->command->kick);\n    SHM_XCHG(&g->status->word, shm_status_word(epoch, state));"),
    "reads the bell after the words": (
        GATE, "hold-and-release,hold-crosses-an-entry",
        "            if (gate_may_leave(g))\n                return 0;\n            if (gate_epoch(g) != epoch)",
        "            if (gate_may_leave(g))\n                return 0;\n            bell = SHM_LOAD(&g->command->bell);\n            if (gate_epoch(g) != epoch)"),
    "drains the channel before it reads the bell": (
        GATE, "blocked-takes-messages,all-blocked",
        "    uint32_t bell = SHM_LOAD(&g->command->bell);\n    if (gate_drain(g, bell) > 0)\n        return -ECANCELED;",
        "    if (gate_drain(g, SHM_LOAD(&g->command->bell)) > 0)\n        return -ECANCELED;\n    uint32_t bell = SHM_LOAD(&g->command->bell);"),
    "sleeps on without showing the new epoch": (
        GATE, "stays-stopped",
        "            if (gate_epoch(g) != epoch)\n                break;",
        "            if (gate_epoch(g) == 0)\n                break;"),
    "reads the world's word only once, first": (
        GATE, "release-crosses-a-stop,three-holds-and-stops",
        "        if (SHM_LOAD(&g->world->word) == world)\n            return",
        "        return"),
    "reads the command word first": (
        GATE, "hold-inside-a-stop",
        "        uint64_t world = SHM_LOAD(&g->world->word), command = SHM_LOAD(&g->command->word);\n        if (SHM_LOAD(&g->world->word) == world)\n            return",
        "        uint64_t command = SHM_LOAD(&g->command->word), world = SHM_LOAD(&g->world->word);\n        return"),
    "drains the channel only once": (
        GATE, "blocked-takes-messages",
        "if (g->drained && g->drained_bell == bell)", "if (g->drained)"),
    "waits behind a closed gate for a clock that stands": (
        GATE, "blocked-stays-stopped",
        "    if (r != -ETIMEDOUT || gate_is_open(g))\n        return 0;", "    if (r != -EBADF)\n        return 0;"),
    "does not wait for a clock at its floor": (
        GATE, "time-passes-before-the-close", " - now + g->clock_ahead_ns", " - now"),
    "lets its clock go back": (
        GATE, "blocked-with-timer,five-mixed,three-holds-and-stops",
        "    if (clock > g->clock_floor_ns)\n        g->clock_floor_ns = clock;", "    g->clock_floor_ns = clock;"),
    "a late watcher does not look at the state": (
        GATE, "busy-stop-resume,two-stops-back-to-back,hold-and-release",
        "    while ((poke = SHM_LOAD(&g->command->poke)) == *seen)",
        "    poke = SHM_LOAD(&g->command->poke);\n    while (SHM_LOAD(&g->command->poke) == poke)"),
    "running stays in the store buffer": (
        GATE, "enters-while-stopped",
        "        SHM_XCHG(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING));",
        "        sim_buffered_store(&g->status->word, shm_status_word(gate_epoch(g), SHM_RUNNING), \"~status\");"),
    "parked and idle stay in the store buffer": (
        GATE, "busy-stop-resume,last-straggler-goes-idle",
        "    SHM_XCHG(&g->status->word, shm_status_word(epoch, state));",
        "    sim_buffered_store(&g->status->word, shm_status_word(epoch, state), \"~status\");"),
    "forgets what it was asked for when its gate is open": (
        GATE, "asked-while-idle,asked-at-any-time", "        if (!g->asked && gate_is_open(g))\n            return 0;\n        int r = gate_park(g);\n        if (r != 0)\n            return r;\n    }",
        "        if (gate_is_open(g))\n            return 0;\n        int r = gate_park(g);\n        if (r != 0)\n            return r;\n    }"),
    "sleeps on although it was asked": (
        GATE, "asked-while-blocked", "    if (g->asked)\n        return gate_visit(g);\n", ""),
    # ---- the daemon's half
    "rings before it opens": (
        STOP, "busy-stop-resume",
        "    world_store(w, true);\n    for (size_t i = 0; i < w->n_gates; i++)\n        if (w->slots[i].open)\n            gate_opened(w->gates[i]);",
        "    for (size_t i = 0; i < w->n_gates; i++)\n        if (w->slots[i].open)\n            gate_opened(w->gates[i]);\n    world_store(w, true);"),
    "wakes without a bump of the bell": (
        STOP, "busy-stop-resume", "    bump(g);\n    futex_wake(&g->command->bell, INT_MAX);\n}\n\nvoid stop_message",
        "    futex_wake(&g->command->bell, INT_MAX);\n}\n\nvoid stop_message"),
    "bumps the bell and wakes nobody": (
        STOP, "busy-stop-resume", "    bump(g);\n    futex_wake(&g->command->bell, INT_MAX);\n}\n\nvoid stop_message",
        "    bump(g);\n}\n\nvoid stop_message"),
    "wakes before the bump": (
        STOP, "busy-stop-resume", "    bump(g);\n    futex_wake(&g->command->bell, INT_MAX);\n}\n\nvoid stop_message",
        "    futex_wake(&g->command->bell, INT_MAX);\n    bump(g);\n}\n\nvoid stop_message"),
    "looks at the state before the opening store": (
        STOP, "hold-and-release,release-crosses-a-stop",
        "    SHM_STORE(&g->command->word, word);\n    if (opens && !was_open) {\n        gate_opened(g);",
        "    if (opens && !was_open)\n        gate_opened(g);\n    SHM_STORE(&g->command->word, word);\n    if (opens && !was_open) {"),
    "does not look again after the kick": (
        STOP, "busy-stop-resume",
        "        stop_kick_one(w->gates[i]);\n        slot_look(w, s);\n", "        stop_kick_one(w->gates[i]);\n"),
    "looks before the kick": (
        STOP, "busy-stop-resume",
        "        stop_kick_one(w->gates[i]);\n        slot_look(w, s);\n", "        slot_look(w, s);\n        SHM_ADD(&w->gates[i]->command->kick, 1);\n"),
    "kicks nobody": (
        STOP, "busy-stop-resume", "        stop_kick_one(w->gates[i]);\n        slot_look(w, s);\n", "        slot_look(w, s);\n"),
    "does not poke": (
        STOP, "busy-stop-resume", "    SHM_ADD(&g->command->poke, 1);\n", "    return;\n"),
    "pokes without a bump": (
        STOP, "busy-stop-resume", "    SHM_ADD(&g->command->poke, 1);\n", ""),
    "signals without a bump": (
        STOP, "signalled", "    SHM_ADD(&g->command->poke, 1);\n", ""),
    "signals before the bump": (
        STOP, "signalled",
        "    SHM_ADD(&g->command->poke, 1);\n    /* A signal", "    /* A signal",
        "    if (!stop_slot(g)->signalled)\n        futex_wake(", "    SHM_ADD(&g->command->poke, 1);\n    if (!stop_slot(g)->signalled)\n        futex_wake("),
    "signals a hold, which nobody follows up": (
        STOP, "signal-of-a-hold-is-lost", "            gate_poke(g, false);\n        record_write", "            gate_poke(g, true);\n        record_write"),
    "a signal that is lost is lost": (
        STOP, "signal-is-lost world", "    stop_slot(g)->signalled = false;\n    futex_wake(&g->command->poke, 1);", "    stop_slot(g)->signalled = false;"),
    "a hold leaves it to a stop that is cancelled": (
        STOP, "hold-in-a-cancelled-stop world", "        stop_wake_watcher(g);\n    }\n}", "    }\n}"),
    "a thaw leaves it to nudges that are over": (
        STOP, "frozen-at-its-nudge", "    if (after && !before)\n        stop_wake_watcher(g);\n", ""),
    "each poke is taken once for all": (
        GATE, "signalled", "    if (poke == g->signalled || !gate_is_late(g))", "    if (g->signalled != 0 || !gate_is_late(g))"),
    "pokes again with each kick": (
        STOP, "busy-stop-resume", "        stop_kick_one(w->gates[i]);\n        slot_look(w, s);\n", "        stop_kick_one(w->gates[i]);\n        slot_look(w, s);\n        gate_poke(w->gates[i], true);\n"),
    "counts before it closes": (
        STOP, "enters-while-stopped,busy-stop-resume,idle-with-timer",
        "    uint64_t now = world_store(w, false);\n", "    uint64_t now = shm_now_ns();\n    w->epoch++;\n",
        "            gate_poke(w->gates[i], true);\n}\n\nvoid stop_settle",
        "            gate_poke(w->gates[i], true);\n    w->epoch--;\n    world_store(w, false);\n}\n\nvoid stop_settle"),
    "counts a hold before it closes the gate": (
        STOP, "hold-and-release,three-holds-and-stops,hold-crosses-an-entry",
        "    SHM_STORE(&g->command->word, word);\n    if (opens && !was_open) {\n        gate_opened(g);\n    } else if (!opens && was_open) {\n        slot_closed(g->world, stop_slot(g), now);",
        "    if (!opens && was_open)\n        slot_closed(g->world, stop_slot(g), now);\n    SHM_STORE(&g->command->word, word);\n    if (opens && !was_open) {\n        gate_opened(g);\n    } else if (!opens && was_open) {"),
    "is born released": (
        STOP, "birth-held,birth-in-a-stop",
        "    w->n_missing++;\n    slot_look(w, s);\n    return 0;", "    w->n_missing++;\n    slot_look(w, s);\n    SHM_STORE(&g->command->word, 1);\n    return 0;"),
    "a release forgets that the world is closed": (
        STOP, "hold-across-a-stop", "shm_may_run(shm_world_word(g->world->epoch, g->world->open), word);",
        "shm_may_run(shm_world_word(g->world->epoch, true), word);"),
    "a death leaves its gate missing": (
        STOP, "killed-busy", "    if (slot_missing(stop_slot(g)))\n        w->n_missing--;\n    if (w->kicked == g)",
        "    if (w->kicked == g)"),
    "a cancelled stop leaves its gates missing": (
        STOP, "cancel", "    if (slot_missing(s))\n        g->world->n_missing--;\n    s->open = true;", "    s->open = true;"),
    "an opening has no epoch of its own": (
        STOP, "busy-stop-resume", "    w->epoch++;\n    w->open = open;", "    w->epoch += !open;\n    w->open = open;"),
    "sends a message without the bell": (
        STOP, "blocked-takes-messages", "void stop_message_sent(struct stop_gate *g)\n{\n    bump(g);", "void stop_message_sent(struct stop_gate *g)\n{"),
    "sends a message and wakes the parked only": (
        STOP, "blocked-takes-messages", "    if (state == SHM_PARKED || state == SHM_BLOCKED)", "    if (state == SHM_PARKED)"),
    "looks at the state before it bumps for a message": (
        STOP, "blocked-takes-messages,all-blocked", "void stop_message_sent(struct stop_gate *g)\n{\n    bump(g);", "void stop_message_sent(struct stop_gate *g)\n{\n    enum shm_state state = stop_state(g);\n    bump(g);",
        "    enum shm_state state = stop_state(g);\n    if (state == SHM_PARKED || ", "    if (state == SHM_PARKED || "),
    "closed stays in the store buffer": (
        STOP, "enters-while-stopped,busy-stop-resume",
        "    SHM_STORE(&w->page->word, shm_world_word(w->epoch, open));\n    return",
        "    sim_buffered_store(&w->page->word, shm_world_word(w->epoch, open), \"~world\");\n    return"),
    "knows the gates it closed by the time": (
        STOP, "hold-and-stop-at-one-instant",
        "        if (w->slots[i].closed_epoch == w->epoch && !w->slots[i].arrived)",
        "        if (w->slots[i].closed_ns == now && !w->slots[i].arrived)"),
    # ---- run-one
    "gives the permit before its epoch": (
        STOP, "run-one,run-one-changes-runner",
        "    /* Nobody has a permit for the epoch that this store begins, until the next one gives it. */\n    world_store(w, false);\n    SHM_STORE(&g->command->word, shm_command_word(w->epoch, true));\n    gate_opened(g);",
        "    SHM_STORE(&g->command->word, shm_command_word(w->epoch, true));\n    gate_opened(g);\n    world_store(w, false);"),
    "a hold leaves the permit": (
        STOP, "run-one-and-hold", "released && g->world->runner == g ? g->world->epoch : 0", "g->world->runner == g ? g->world->epoch : 0"),
    "a release forgets the permit": (
        STOP, "run-one-and-hold", "    uint64_t permit = released && g->world->runner == g ? g->world->epoch : 0;", "    uint64_t permit = 0;"),
    # ---- the daemon's world
    "does not look after a kick": (
        WORLD, "busy-stop-resume world", "    world_look_at_runner(w);\n    world_advance(w);\n}\n\nvoid world_on_member_ended", "    world_look_at_runner(w);\n}\n\nvoid world_on_member_ended"),
    "does not look after a death": (
        WORLD, "killed-busy world", "world_choose_target(w, w->control) : 0);\n    world_advance(w);", "world_choose_target(w, w->control) : 0);"),
    "does not look after a resume": (
        WORLD, "busy-stop-resume world", "    world_advance(w);\n    const struct ticket *next = world_ticket(w);", "    const struct ticket *next = world_ticket(w);"),
    "does not look after an operation": (
        WORLD, "operations-cross world", "    world_end_ticket(w, w->operation, TICKET_SERVED);\n    world_advance(w);\n", "    world_end_ticket(w, w->operation, TICKET_SERVED);\n"),
    "stops without a kick": (
        WORLD, "busy-stop-resume world", "    if (stop_scan(&w->stop) > 0)\n        stop_kick(&w->stop);", "    stop_scan(&w->stop);"),
    "serves in the order of arrival": (
        TICKET, "operations-cross world", "at->request.reason >= t->request.reason", "at"),
    "calls back for a client that is gone": (
        TICKETS, "client-goes-in-a-stop world", "            continue;\n        ticket_forget_caller(t);\n", "            continue;\n"),
    "leaves the tickets of a debugger that ends": (
        TICKETS, "client-goes-in-a-stop,lease-is-left world", "    if (w->control && w->control->request.debugger == debugger)\n        world_end_control(w, TICKET_SERVED, \"ended\");\n    if (w->operation", "    if (w->operation"),
    "a run-one that ends is not told": (
        WORLD, "run-one world", "        on_ended(w->run.userdata, why);", "        (void)why;"),
    "has nothing to resume while it waits for the next": (
        TICKETS, "resume-while-one-never-parks world", " || (w->mode == WORLD_STOPPED && !w->control);", ";"),
    "gives up and does not look again": (
        WORLD, "one-never-parks-and-cannot-be-frozen world", "            await_stop(w, t);\n            return w->late && give_up(w);", "            await_stop(w, t);\n            return false;"),
    "has no deadline for the next ticket": (
        WORLD, "next-one-after-a-freeze-that-failed,made-up-with-liars-that-cannot-be-frozen world",
        "    bool taken_over = t && t->deadline_ns == 0;", "    bool taken_over = false;"),
    "begins a run-one inside another": (
        WORLD, "run-one-is-asked-for-twice world", "    if (w->operation || w->run.one ||", "    if (w->operation ||"),
    # ---- the daemon's loop
    "drains the eventfd after the scan": (
        CAST, "old-kick-is-heard-in-a-stop",
        "            (void)sim_eventfd_take(((struct cast_vm *)due[i].what)->worker.gate.kick_fd);\n            cast.conductor->kicked(due[i].what);",
        "            cast.conductor->kicked(due[i].what);\n            (void)sim_eventfd_take(((struct cast_vm *)due[i].what)->worker.gate.kick_fd);"),
}


def mutated(name, srcdir):
    """The text of the file that it changes; LookupError where that has no such place any more, or several."""
    file, _, *pairs = MUTANTS[name]
    text = (srcdir / file).read_text()
    for old, new in zip(pairs[::2], pairs[1::2]):
        if text.count(old) != 1:
            raise LookupError(f"{file} has {text.count(old)} times: {old!r}")
        text = text.replace(old, new)
    return text


def mutate(name, srcdir, folder):
    out = folder / pathlib.Path(MUTANTS[name][0]).name
    out.write_text(mutated(name, srcdir))
    return out


def run(name, cc, objects, srcdir, folder):
    folder.mkdir()
    try:
        source = mutate(name, srcdir, folder)
    except LookupError as e:
        return False, f"cannot be made any more: {e}"
    program = folder / "schedules"
    # Ours first: it has all the names of the member of an archive that it stands for.
    compiled = subprocess.run([*cc, "-w", "-o", program, source, *objects], capture_output=True,
                              text=True, check=False)
    if compiled.returncode != 0:
        return False, compiled.stderr
    scenario, _, conductor = MUTANTS[name][1].partition(" ")
    found = subprocess.run([program, "--only", scenario, "--conductor", conductor or "small", "--runs",
                            "5000", "--cap", "50000", "--expect-violation", "--folder", folder],
                           capture_output=True, text=True, check=False, timeout=600)
    said = [l[2:] for l in found.stdout.splitlines() if ", conductor " in l]
    return found.returncode == 0, said[0] if said else found.stdout + found.stderr


def words(variable):
    # make keeps the ends of lines that its rules break
    return shlex.split(os.environ[variable].replace("\\\n", " "))


def main():
    cc, objects, srcdir = words("CC"), words("OBJECTS"), pathlib.Path(os.environ["SRCDIR"])
    names = [n for n in MUTANTS if not sys.argv[1:] or any(a in n for a in sys.argv[1:])]
    failed = 0
    print(f"1..{len(names)}")
    with tempfile.TemporaryDirectory() as tmp, \
            concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = pool.map(lambda i: run(names[i], cc, objects, srcdir, pathlib.Path(tmp) / str(i)),
                           range(len(names)))
        for number, (name, (ok, text)) in enumerate(zip(names, results), 1):
            print(f"{'ok' if ok else 'not ok'} {number} - found: {name}")
            for line in text.splitlines():
                print(f"# {line}")
            sys.stdout.flush()
            failed += not ok
    print(f"# {len(names) - failed} of {len(names)} mutants found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
