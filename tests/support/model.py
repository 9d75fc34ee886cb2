"""What a world has to be, by its events alone: a second, independent telling of stop-the-world.

A Model takes the daemon's events one after the other. Each has to be possible where the model is, and
leads it on; then modes, epochs, tickets, the lease, the runner and the target that the daemon shows
have to be the model's. It knows what docs/PROTOCOL.md and daemon/world.h say, and none of the code.

An Oracle feeds it from a connection of its own: all events since its last look, and, in the same turn
of the daemon's loop, what the daemon shows of its worlds and VMs.
"""

import struct

from harness import Failed, check, equal

URGENT = ["gc", "debugger", "audit", "census", "admin"]  # who is served first
RUN_ENDS = ("idle", "blocked", "ended", "deadline", "stopped", "run-one ended")
OUTCOMES = ("served", "cancelled", "failed", "timed out")
KEPT = 4096  # events that the daemon keeps


class World:
    def __init__(self):
        self.mode, self.epoch = "run-all", 1
        self.control = self.controller = self.operation = None
        self.replaced = False  # the controller stops its own run-one by a new ticket
        self.ending = False    # the lease has ended, its ticket is about to
        self.runner, self.target = 0, 0
        self.members = set()


class Model:
    def __init__(self, lapses=False):
        self.worlds, self.ended, self.holds, self.frozen = {}, {}, {}, set()
        self.last = 0                          # seq
        self.asked = {}                        # ticket: (reason, debugger), of those seen waiting
        self.lapses = lapses
        self.seen = set()                      # tickets that events have named

    def apply(self, e):
        """One Event; raises where it cannot be."""
        check(not e.dropped, "the oracle fell behind: it has to look more often")
        equal(e.seq, self.last + 1, "no event is left out, none comes twice")
        self.last = e.seq
        kind = KINDS[e.kind]
        handler = getattr(self, "on_" + kind, None)
        if handler is None:
            return
        w = self.worlds.get(e.world)
        if kind not in ("world_made", "vm_ended"):
            check(w, f"{kind} of a world that is not there: {e}")
        if e.ticket:
            self.seen.add(e.ticket)
            if kind != "ticket_ended":
                check(e.ticket not in self.ended, f"ticket {e.ticket} has ended: {e}")
        handler(w, e)
        if w and e.epoch and kind != "world_gone":
            equal(w.epoch, e.epoch, f"epoch at {kind}, event {e.seq}")

    # ---- worlds

    def on_world_made(self, w, e):
        check(not w, f"made twice: {e.world}")
        self.worlds[e.world] = World()

    def on_world_gone(self, w, e):
        check(e.world != "default" and w.mode == "run-all" and w.control is None, f"goes: {vars(w)}")
        del self.worlds[e.world]

    def on_world_stopping(self, w, e):
        check(w.mode in ("run-all", "run-one"), f"{w.mode} → stopping: {e}")
        if e.detail in RUN_ENDS:
            check(w.mode == "run-one", f"no run-one was there to end: {e}")
            w.runner = 0
        else:
            check(e.detail in URGENT and e.ticket, e)
            if w.mode == "run-one" and e.detail == "admin":
                check(e.ticket != w.control, f"the control ticket stops nothing twice: {e}")
        w.mode, w.epoch = "stopping", w.epoch + 1

    def on_world_stopped(self, w, e):
        check(w.mode in ("stopping", "stopped"), f"{w.mode} → stopped: {e}")
        check(w.operation is None, f"two services at once: {w.operation} and {e}")
        again = e.ticket == w.control and e.detail not in URGENT
        if again:
            # Its deadline may pass in the stop of a ticket that is not served then.
            lapsed = self.lapses and e.detail == "deadline"
            check(w.mode == "stopping" and (lapsed or not w.runner), f"{vars(w)} at {e}")
            w.runner = 0
        elif e.detail == "admin":
            self.best_was_served(w, e, w.replaced)
            if w.replaced:
                w.control, w.replaced, w.runner = e.ticket, False, 0
            equal(w.control, e.ticket, "who is served has the lease")
        else:
            self.best_was_served(w, e, w.control)
            w.operation = e.ticket
        w.mode = "stopped"

    def best_was_served(self, w, e, controlled):
        """Nobody who asked before, and is as urgent or more, was passed over."""
        for ticket, (reason, debugger) in self.asked.items():
            if ticket >= e.ticket or ticket in self.ended or ticket in (w.control, w.operation):
                continue
            mine = debugger == w.controller
            if reason == "admin":
                servable = not controlled or (mine and w.replaced)
            else:
                servable = not controlled or mine or (w.runner and not self.lapses)
            check(not servable or URGENT.index(reason) > URGENT.index(e.detail),
                  f"ticket {e.ticket} ({e.detail}) was served before {ticket} ({reason})")

    def on_world_resumed(self, w, e):
        check(w.mode != "run-all", f"resumed what ran: {e}")
        check(w.control is None and w.operation is None and not w.replaced,
              f"resumed while {w.control} or {w.operation} holds it")
        self.frozen -= w.members
        w.mode, w.epoch, w.runner, w.target = "run-all", w.epoch + 1, 0, 0

    def on_world_run_one(self, w, e):
        check(w.mode in ("stopped", "stopping"), f"{w.mode} → run-one: {e}")
        check(w.operation is None and w.control == e.ticket, f"run-one without the lease: {e}")
        check(e.vm in w.members, f"an unknown runner: {e}")
        check(w.runner in (0, e.vm) or self.lapses and w.mode == "stopped",
              f"another runner than {w.runner}: {e}")
        self.permit(w, e)
        if not self.holds.get(e.vm):
            self.frozen.discard(e.vm)
        w.mode, w.runner = "run-one", e.vm

    @staticmethod
    def permit(w, e):
        """A permit begins an epoch; a runner that is held gets its permit later."""
        check(e.epoch - w.epoch in (0, 1), f"from epoch {w.epoch}: {e}")
        w.epoch = e.epoch

    # ---- tickets, the lease

    def on_lease_changed(self, w, e):
        if e.detail in ("ended", "expired", "its runner ended"):
            equal((w.control, w.controller), (e.ticket, e.name), f"whose lease {e.detail}")
            w.ending = True
        elif w.control is None:
            equal(e.detail, "taken", f"a lease from nowhere: {e}")
            check(w.mode in ("stopping", "stopped"), f"taken in a world that is {w.mode}")
            w.control, w.controller = e.ticket, e.name
        else:
            check(e.detail in ("taken", "stolen", "handed over"), e)
            equal(w.control, e.ticket, "a lease changes hands with its ticket")
            w.controller = e.name

    def on_ticket_ended(self, w, e):
        check(e.ticket not in self.ended, f"ticket {e.ticket} ended twice: {self.ended.get(e.ticket)}, {e}")
        check(e.detail in OUTCOMES, e)
        self.ended[e.ticket] = e.detail
        if e.ticket == w.operation:
            w.operation = None
        elif e.ticket == w.control:
            equal(e.detail, "served", "a control ticket that had the lease")
            w.replaced = not w.ending
            check(w.ending or w.mode in ("stopping", "stopped"), f"replaced in {w.mode}: {e}")
            w.control, w.ending, w.runner = None, False, 0
            if not w.replaced:
                w.controller = None
        else:
            check(e.detail != "served", f"served, and nobody saw it: {e}")

    def on_target_changed(self, w, e):
        check(w.control == e.ticket or w.replaced, f"a target without the lease: {e}")
        check(not e.vm or e.vm in w.members, f"an unknown target: {e}")
        w.target = e.vm

    # ---- VMs

    def on_vm_born(self, w, e):
        w.members.add(e.vm)

    def on_vm_ended(self, w, e):
        self.holds.pop(e.vm, None)
        self.frozen.discard(e.vm)
        if w:
            w.members.discard(e.vm)
            w.runner = 0 if w.runner == e.vm else w.runner
            w.target = 0 if w.target == e.vm else w.target

    def on_vm_held(self, w, e):
        self.holds[e.vm] = self.holds.get(e.vm, 0) + 1

    def on_vm_released(self, w, e):
        check(self.holds.get(e.vm, 0) > 0, f"released, and was not held: {e}")
        self.holds[e.vm] -= 1
        if w.mode == "run-one" and w.runner == e.vm and not self.holds[e.vm]:
            self.permit(w, e)
            self.frozen.discard(e.vm)

    def on_vm_frozen(self, w, e):
        check(w.mode in ("stopping", "stopped", "run-one"), f"frozen in a world that is {w.mode}: {e}")
        self.frozen.add(e.vm)

    def on_vm_thawed(self, w, e):
        check(w.operation, f"thawed to serve nobody: {e}")
        self.frozen.discard(e.vm)

    def on_vm_missed(self, w, e):
        check(w.mode in ("stopping", "stopped"), f"missed in a world that is {w.mode}: {e}")


KINDS = {}


class Oracle:
    """Looks at the daemon and the model together. `lapses`: runs alone may end by their deadline inside
    an operation, of which no event tells."""

    def __init__(self, client, lapses=False):
        self.client, self.model = client, Model(lapses)
        self.api, self.looks, self.admitted, self.tail = client.api, 0, None, []
        for name, number in self.api.EventKind.items():
            KINDS[number] = name[len("EVENT_"):].lower()

    def look(self):
        """Replays what happened since, and compares. Returns the VMs."""
        api, number = self.api, self.client.number
        bodies = [{"subscribe": api.Subscribe(since_seq=self.model.last, replay=True, once=True)},
                  {"list_worlds": api.ListWorlds()}, {"list_vms": api.ListVms()}]
        frames = b""
        for i, body in enumerate(bodies, number + 1):
            data = api.Envelope(request_id=i, **body).SerializeToString()
            frames += struct.pack(">I", len(data)) + data
        self.client.number += len(bodies)
        self.client.sock.sendall(frames)  # one packet: nothing happens in the daemon between them
        last = self.client.wait(number + 1).subscribe_reply.last_seq
        worlds = self.client.wait(number + 2).world_list.worlds
        page = self.client.wait(number + 3).vm_list
        events, self.client.events = self.client.events, []
        self.looks += 1
        try:
            for e in events:
                self.model.apply(e.event)
                self.tail = self.tail[-25:] + [e.event]
            equal(self.model.last, last, "the last event")
            self.compare(worlds, page.vms)
        except Failed as e:
            raise Failed(f"{e}\nthe last events:\n" + "\n".join(map(self.tell, self.tail))) from None
        return page.vms

    @staticmethod
    def tell(e):
        return (f"  {e.seq} {KINDS[e.kind]} {e.world} epoch {e.epoch} ticket {e.ticket} vm {e.vm} "
                f"{e.name} {e.detail}")

    def compare(self, worlds, vms):
        model = self.model
        equal({w.name for w in worlds}, set(model.worlds), "worlds")
        for shown in worlds:
            w = model.worlds[shown.name]
            mode = self.api.WorldMode.Name(shown.mode)[len("MODE_"):].lower().replace("_", "-")
            runner = w.runner
            if model.lapses and runner != shown.runner and w.mode in ("stopped", "stopping"):
                w.runner = runner = 0  # another may have been asked for since
            if (w.operation or shown.queued) and not runner and shown.runner in w.members:
                w.runner = runner = shown.runner  # asked for, and somebody is served before
            if shown.mode != self.api.MODE_STOPPED and w.target and not shown.target:
                w.target = 0
            equal((mode, shown.epoch, shown.runner, shown.target, shown.vms),
                  (w.mode, w.epoch, runner, w.target, len(w.members)),
                  f"mode, epoch, runner, target, VMs of {shown.name} after event {model.last}")
            equal(shown.controller.debugger or None, w.controller, "controller")
            self.compare_tickets(w, shown)
        for vm in vms:
            self.compare_vm(model.worlds[vm.world], vm)

    def compare_tickets(self, w, shown):
        if w.operation or w.control and w.mode != "stopping":
            equal(shown.ticket.ticket, w.operation or w.control, "ticket in service")
        waiting = list(shown.queued)
        if w.mode == "stopping" and not w.control:
            waiting.append(shown.ticket)
        for t in waiting:
            check(t.ticket not in self.model.ended, f"queued and ended: {t}")
            self.model.asked[t.ticket] = (t.reason, t.debugger)
        for ticket in [t for t in self.model.asked if t in self.model.ended]:
            del self.model.asked[ticket]
        order = [(URGENT.index(t.reason), t.ticket) for t in shown.queued]
        equal(order, sorted(order), "the queue: by reason, then by arrival")
        if w.mode == "run-all":
            equal((len(shown.queued), shown.ticket.ticket), (0, 0), "tickets of a world that runs")

    def compare_vm(self, w, vm):
        api, runs = self.api, w.mode == "run-all" or (w.mode == "run-one" and w.runner == vm.id)
        held = self.model.holds.get(vm.id, 0)
        equal(vm.frozen, vm.id in self.model.frozen, f"frozen: {vm}")
        if w.mode == "stopped":
            check(vm.HasField("how"), f"a VM of a stopped world that does not count: {vm}")
        elif not runs and w.mode == "run-one":
            check(vm.HasField("how"), f"a VM that is not the runner and does not count: {vm}")
        elif runs and not held and vm.id in (self.admitted or ()):
            check(not vm.HasField("how") and not vm.frozen, f"a VM that may run and counts: {vm}")

    def finish(self, tickets=None):
        """All is over: every ticket has ended, each once; every world runs. Returns outcomes."""
        self.look()
        model = self.model
        for name, w in model.worlds.items():
            equal((name, w.mode, w.control, w.operation), (name, "run-all", None, None))
        known = set(model.ended)
        equal(known, set(range(1, max(known, default=0) + 1)), "each ticket has ended")
        if tickets is not None:
            equal(len(known), tickets, "as many tickets as requests that were accepted")
        equal({vm: n for vm, n in model.holds.items() if n}, {}, "holds that are left")
        counts = {outcome: 0 for outcome in OUTCOMES}
        for outcome in model.ended.values():
            counts[outcome] += 1
        return counts
