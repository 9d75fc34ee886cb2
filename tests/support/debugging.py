"""A client that audits and debugs, over api.py: one short method for each request, answers as plain Python."""

import subprocess

import api as api_client
from harness import HANG, check, wait_until
from storm import LONG, connect


def text_of(enum, value, prefix):
    return enum.Name(value)[len(prefix):].lower().replace("_", "-")


class Debugging(api_client.Client):
    def __init__(self, api, path):
        super().__init__(api, path, HANG)

    def kind(self, name):
        return self.api.HookKind.Value("HOOK_" + name.upper().replace("-", "_"))

    def kind_name(self, value):
        return text_of(self.api.HookKind, value, "HOOK_")

    # ---- debuggers and hooks

    def open(self, name, policy=None):
        request = self.api.OpenDebugger(name=name, policy=policy)
        return self.request(open_debugger=request).debugger_reply.debugger

    def debuggers(self):
        """{name: Debugger}"""
        found, token = {}, 0
        while True:
            page = self.request(list_debuggers=self.api.ListDebuggers(page_token=token)).debugger_list
            found.update((d.name, d) for d in page.debuggers)
            token = page.next_page_token
            if not token:
                return found

    def place(self, at):
        """at: (url, line), (url, line, column), or {"url": …, "offset": …}."""
        if isinstance(at, dict):
            return self.api.BreakpointAt(**at)
        return self.api.BreakpointAt(**dict(zip(("url", "line", "column"), at)))

    def add(self, kinds, vm=None, debugger=None, suspend=None, at=None, **more):
        """Ids of the hooks, in the order of the kinds."""
        fields = {"kinds": [self.kind(k) for k in ([kinds] if isinstance(kinds, str) else kinds)],
                  "debugger": debugger, "deadline_us": LONG, **more}
        if vm is not None:
            fields["vm"] = str(vm)
        if suspend:
            fields["suspend"] = self.api.Suspend.Value("SUSPEND_" + suspend.upper())
        if at:
            fields["at"] = self.place(at)
        reply = self.request(add_hooks=self.api.AddHooks(**fields)).hook_list
        return [h.hook for h in reply.hooks]

    def breakpoint(self, vm, *at, **more):
        return self.add("breakpoint", vm, at=at if at[1:] else at[0], **more)[0]

    def remove(self, *hooks, debugger=None):
        self.request(remove_hooks=self.api.RemoveHooks(hooks=hooks, debugger=debugger))

    def hooks(self, **query):
        """{id: Hook}"""
        found, token = {}, 0
        while True:
            page = self.request(list_hooks=self.api.ListHooks(page_token=token, **query)).hook_list
            found.update((h.hook, h) for h in page.hooks)
            token = page.next_page_token
            if not token:
                return found

    def auditors(self, vm=None):
        """[(referent, id, kind, [debugger names])], sorted."""
        found, token = [], 0
        while True:
            query = self.api.ListAuditors(page_token=token, vm=None if vm is None else str(vm))
            page = self.request(list_auditors=query).auditor_list
            for a in page.auditors:
                found.append((text_of(self.api.ReferentKind, a.referent, "REFERENT_"), a.referent_id,
                              self.kind_name(a.kind), [s.name for s in a.serves]))
            token = page.next_page_token
            if not token:
                return sorted(found)

    # ---- what they saw

    def page(self, debugger, from_seq=0, wait=False, max_hits=0):
        query = self.api.ReadHits(debugger=debugger, from_seq=from_seq, wait=wait, max_hits=max_hits)
        return self.request(read_hits=query).hit_page

    def kept(self, debugger):
        """All hits that its ring has."""
        found, at = [], 0
        while True:
            page = self.page(debugger, at)
            found += page.hits
            if not page.hits or page.next_seq == at:
                return found
            at = page.next_seq

    def until(self, debugger, count, from_seq=0):
        """Waits until there are so many; returns all that came."""
        found, at = [], from_seq
        while len(found) < count:
            page = self.page(debugger, at, wait=True)
            check(not page.ended, f"{debugger} is gone with {len(found)} hits of {count}")
            found += page.hits
            at = page.next_seq
        return found

    def short(self, hit):
        """kind, or kind:completion, with function and line."""
        kind = self.kind_name(hit.kind)
        if hit.completion:
            kind += ":" + hit.completion
        return f"{kind} {hit.location.function or '-'}:{hit.location.line}"

    # ---- a stopped VM

    def frames(self, vm):
        found, at = [], 0
        while True:
            page = self.request(list_frames=self.api.ListFrames(vm=str(vm), first=at)).frame_page
            found += page.frames
            at = page.next
            if not at:
                return found

    def scopes(self, vm, frame=0):
        query = self.api.ListScopes(vm=str(vm), frame=frame)
        return self.request(list_scopes=query).scope_list.scopes

    def children(self, vm, ref, **more):
        found, at = {}, 0
        while True:
            query = self.api.ListVariables(vm=str(vm), ref=ref, first=at, **more)
            page = self.request(list_variables=query).variable_page
            found.update((v.name, v) for v in page.variables)
            at = page.next
            if not at:
                return found

    def locals(self, vm, frame=0):
        """{name: preview} of all scopes but the global one, the innermost first."""
        found = {}
        for scope in self.scopes(vm, frame):
            if scope.scope != "global":
                for name, v in self.children(vm, scope.ref).items():
                    found.setdefault(name, v.value.preview)
        return found

    def evaluate(self, vm, expression, frame=None, timeout_us=LONG, **more):
        fields = {"in_realm": True} if frame is None else {"frame": frame}
        query = self.api.Evaluate(vm=str(vm), expression=expression, timeout_us=timeout_us, **fields, **more)
        return self.request(evaluate=query).value_reply

    def assign(self, vm, name, expression, frame=0):
        query = self.api.SetVariable(vm=str(vm), name=name, expression=expression, frame=frame,
                                     timeout_us=LONG)
        return self.request(set_variable=query).value_reply

    def sources(self, vm):
        """{url: Source}"""
        found, at = {}, 0
        while True:
            page = self.request(list_sources=self.api.ListSources(vm=str(vm), first=at)).source_list
            found.update((s.url, s) for s in page.sources)
            at = page.next
            if not at:
                return found

    def source_text(self, vm, max_bytes=0, **which):
        text, more = b"", True
        while more:
            query = self.api.ReadSource(vm=str(vm), first_byte=len(text), max_bytes=max_bytes, **which)
            page = self.request(read_source=query).source_text
            text += page.text
            more = page.more
        return text

    def positions(self, vm, **which):
        query = self.api.ListPositions(vm=str(vm), **which)
        return self.request(list_positions=query).position_list.positions

    def read_memory(self, vm, address, length, frame=None, memory=0):
        fields = {} if frame is None else {"frame": frame, "in_frame": True}
        query = self.api.AccessMemory(vm=str(vm), address=address, length=length, memory=memory, **fields)
        return self.request(access_memory=query).memory_reply

    def write_memory(self, vm, address, data, frame=None, memory=0):
        fields = {} if frame is None else {"frame": frame, "in_frame": True}
        query = self.api.AccessMemory(vm=str(vm), address=address, write=data, memory=memory, **fields)
        return self.request(access_memory=query).memory_reply

    def step(self, vm, how="over", at=None, **more):
        if at:
            more["at"] = self.place(at)
        how = self.api.StepHow.Value("STEP_" + how.upper())
        query = self.api.StepVm(vm=str(vm), how=how, **more)
        return self.request(step_vm=query).step_reply

    def go_on(self, vm, answer=None, expression=None, **more):
        if answer:
            more["answer"] = self.api.PauseAnswer.Value("ANSWER_" + answer.upper())
            more["answer_expression"] = expression
        query = self.api.ContinueVm(vm=str(vm), **more)
        return self.request(continue_vm=query).continue_reply

    def pause(self, vm):
        return self.request(get_pause=self.api.GetPause(vm=str(vm))).pause_reply

    def world(self, name="default"):
        return self.request(get_world=self.api.GetWorld(world=name)).world_reply.world

    def mode(self, name="default"):
        return text_of(self.api.WorldMode, self.world(name).mode, "MODE_")

    def until_paused(self, vm, reason, name="default"):
        """The world is stopped because this VM pauses."""
        wait_until(lambda: self.mode(name) == "stopped" and self.pause(vm).reason, f"{vm} pauses")
        pause = self.pause(vm)
        check(pause.reason == reason, f"{vm} pauses for {pause.reason}, not {reason}")
        return pause


def debugging(t):
    return connect(t, Debugging)


def is_killed(client):
    """Another process has this client's connection alone, and dies."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[client.sock.fileno()]) as p:
        client.close()
        p.kill()
