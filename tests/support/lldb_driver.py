"""An LLDB in a process of its own, led by lines of JSON: what support/lldb_client.py starts.

A line has the name of a function of Driver and its arguments, [name, [arguments]]; the answer is {"is": value} or
{"failed": text}. LLDB runs asynchronously, and the end of whatever was begun is an event that wait() takes.
"""

import json
import os
import sys

import lldb

RUNNING = {lldb.eStateRunning: "running"}
STOPPED = {lldb.eStateStopped: "stopped", lldb.eStateCrashed: "crashed", lldb.eStateExited: "exited",
           lldb.eStateDetached: "detached"}
NO_REASON = (lldb.eStopReasonNone, lldb.eStopReasonInvalid)
REASONS = {lldb.eStopReasonNone: "none", lldb.eStopReasonBreakpoint: "breakpoint", lldb.eStopReasonSignal: "signal",
           lldb.eStopReasonException: "exception", lldb.eStopReasonPlanComplete: "plan", lldb.eStopReasonTrace: "trace",
           lldb.eStopReasonWatchpoint: "watchpoint"}


class Wrong(Exception):
    pass


def done(error):
    if error.Fail():
        raise Wrong(str(error))


def frame_of(frame):
    line = frame.GetLineEntry()
    return {"function": frame.GetFunctionName(), "file": line.GetFileSpec().GetFilename(), "line": line.GetLine(),
            "pc": frame.GetPC(), "index": frame.GetFrameID(), "artificial": not frame.GetModule().IsValid()}


def value_of(value):
    """A number, a text, or for what has members a dictionary or a list of them."""
    n = value.GetNumChildren()
    kind = value.GetType().GetTypeClass()
    if kind == lldb.eTypeClassArray:
        return [value_of(value.GetChildAtIndex(i)) for i in range(n)]
    if kind in (lldb.eTypeClassStruct, lldb.eTypeClassUnion, lldb.eTypeClassClass):
        return {c.GetName(): value_of(c) for c in (value.GetChildAtIndex(i) for i in range(n))}
    if value.GetError().Fail():
        raise Wrong(f"{value.GetName()}: {value.GetError()}")
    return value.GetSummary() or value.GetValue()


class Driver:
    def __init__(self):
        self.debugger = lldb.SBDebugger.Create(False)
        self.debugger.SetAsync(True)
        # As `stillctl lldb` has it.
        self.command("settings set target.process.disable-memory-cache true")
        self.target = self.debugger.CreateTarget("")
        self.listener = lldb.SBListener("test")
        self.process = None
        self.hits = 0

    # ---- the process

    def connect(self, url):
        error = lldb.SBError()
        self.process = self.target.ConnectRemote(self.listener, url, "wasm", error)
        done(error)
        return self.wait()

    def wait(self, seconds=60, states=STOPPED):
        """The next state in which something is to be seen."""
        event = lldb.SBEvent()
        while self.listener.WaitForEvent(seconds, event):
            if not lldb.SBProcess.EventIsProcessEvent(event) or lldb.SBProcess.GetRestartedFromEvent(event):
                continue
            state = lldb.SBProcess.GetStateFromEvent(event)
            if state in states and event.GetType() & lldb.SBProcess.eBroadcastBitStateChanged:
                if state == lldb.eStateStopped:
                    self.choose()
                return states[state]
        raise Wrong(f"nothing happened for {seconds} s; the process is "
                    f"{lldb.SBDebugger.StateAsCString(self.process.GetState())}")

    def choose(self):
        """As LLDB's prompt does: the thread that has stopped becomes the selected one."""
        if self.process.GetSelectedThread().GetStopReason() in NO_REASON:
            for thread in self.process:
                if thread.GetStopReason() not in NO_REASON:
                    self.process.SetSelectedThread(thread)
                    return

    def resume(self):
        """Returns when it runs: LLDB forgets an interrupt that comes before."""
        done(self.process.Continue())
        self.wait(states=RUNNING)

    def interrupt(self):
        done(self.process.Stop())

    def go(self):
        """Goes on, and waits until it stops again."""
        self.resume()
        return self.wait()

    def go_times(self, times):
        """The same so many times; of each stop, which thread had what reason."""
        seen = []
        for _ in range(times):
            state = self.go()
            if state != "stopped":
                raise Wrong(f"it is {state} after {len(seen)} of {times}")
            seen.append([[t["id"], t["reason"]] for t in self.threads(0) if t["reason"] != "none"])
        return seen

    def interrupt_times(self, times):
        """Goes on and interrupts at once, so many times. Returns the reasons of the last stop."""
        for i in range(times):
            self.resume()
            self.interrupt()
            state = self.wait()
            if state != "stopped":
                raise Wrong(f"it is {state} after {i} of {times}")
        return [t["reason"] for t in self.threads(0)]

    def detach(self):
        done(self.process.Detach())
        return self.wait()

    def kill(self):
        done(self.process.Kill())
        return self.wait()

    def exit_code(self):
        return self.process.GetExitStatus()

    # ---- threads

    def thread(self, tid):
        thread = self.process.GetThreadByID(tid) if tid else self.process.GetSelectedThread()
        if not thread.IsValid():
            raise Wrong(f"no thread {tid}")
        return thread

    def frame(self, tid, index):
        frame = self.thread(tid).GetFrameAtIndex(index)
        if not frame.IsValid():
            raise Wrong(f"no frame {index}")
        return frame

    def threads(self, frames=1):
        return [self.told(t, frames) for t in self.process]

    @staticmethod
    def told(thread, frames):
        return {"id": thread.GetThreadID(), "name": thread.GetName(),
                "reason": REASONS.get(thread.GetStopReason(), thread.GetStopReason()),
                "says": thread.GetStopDescription(200),
                "frames": [frame_of(thread.GetFrameAtIndex(i)) for i in range(min(frames, thread.GetNumFrames()))]}

    def selected(self):
        return self.told(self.thread(0), 30)

    def select(self, tid):
        return self.process.SetSelectedThreadByID(tid)

    def backtrace(self, tid=0):
        thread = self.thread(tid)
        return [frame_of(thread.GetFrameAtIndex(i)) for i in range(thread.GetNumFrames())]

    def step(self, how, tid=0, alone=False):
        """in, over, out, or instruction; then where it is."""
        thread = self.thread(tid)
        mode = lldb.eOnlyThisThread if alone else lldb.eOnlyDuringStepping
        error = lldb.SBError()
        if how == "in":
            thread.StepInto(None, lldb.LLDB_INVALID_LINE_NUMBER, error, mode)
        elif how == "over":
            thread.StepOver(mode, error)
        elif how == "out":
            thread.StepOut(error)
        else:
            thread.StepInstruction(False, error)
        done(error)
        state = self.wait()
        if state != "stopped":
            return {"state": state}
        return self.told(self.thread(tid), 30)

    def steps(self, times):
        """So many, each of an instruction, of the selected thread."""
        for _ in range(times):
            error = lldb.SBError()
            self.thread(0).StepInstruction(False, error)
            done(error)
            if self.wait() != "stopped":
                raise Wrong("it does not step")

    # ---- breakpoints

    def break_line(self, file, line, condition=None):
        return self.told_breakpoint(self.target.BreakpointCreateByLocation(file, line), condition)

    def break_function(self, name, condition=None):
        return self.told_breakpoint(self.target.BreakpointCreateByName(name), condition)

    @staticmethod
    def told_breakpoint(b, condition):
        if condition:
            b.SetCondition(condition)
        return {"id": b.GetID(), "locations": b.GetNumLocations(), "resolved": b.GetNumResolvedLocations(),
                "addresses": [b.GetLocationAtIndex(i).GetLoadAddress() for i in range(b.GetNumLocations())]}

    def breakpoint(self, number):
        return self.told_breakpoint(self.target.FindBreakpointByID(number), None)

    def break_remove(self, number):
        return self.target.BreakpointDelete(number)

    def hit_count(self, number):
        return self.target.FindBreakpointByID(number).GetHitCount()

    # ---- values and memory

    def value(self, path, frame=0, tid=0):
        found = self.frame(tid, frame).GetValueForVariablePath(path)
        if not found.IsValid() or found.GetError().Fail():
            raise Wrong(f"{path}: {found.GetError()}")
        return value_of(found)

    def variables(self, frame=0, tid=0):
        found = self.frame(tid, frame).GetVariables(True, True, False, True)
        return {v.GetName(): value_of(v) for v in found}

    def values(self, function, path):
        """{thread: value} of all threads, in the innermost frame of this function; None where there is none."""
        found = {}
        for thread in self.process:
            # LLDB names no thread when it asks for a local.
            self.command(f"process plugin packet send Hg{thread.GetThreadID():x}")
            frames = [f for f in thread if f.GetFunctionName() == function]
            value = frames[0].GetValueForVariablePath(path) if frames else None
            found[thread.GetThreadID()] = value.GetValueAsUnsigned() if value and value.IsValid() else None
        return list(found.items())

    def globals(self, name):
        found = self.target.FindGlobalVariables(name, 10)
        return [value_of(v) for v in found]

    def address(self, path, frame=0, tid=0):
        found = self.frame(tid, frame).GetValueForVariablePath(path)
        return found.GetLoadAddress()

    def read(self, address, n):
        error = lldb.SBError()
        data = self.process.ReadMemory(address, n, error)
        done(error)
        return data.hex()

    def write(self, address, data):
        error = lldb.SBError()
        n = self.process.WriteMemory(address, bytes.fromhex(data), error)
        done(error)
        return n

    def disassembly(self, name):
        found = self.target.FindFunctions(name)
        if found.GetSize() == 0:
            raise Wrong(f"no function {name}")
        lines = found.GetContextAtIndex(0).GetFunction().GetInstructions(self.target)
        return [i.GetMnemonic(self.target) for i in lines]

    def modules(self):
        return [str(m.GetFileSpec()) for m in self.target.module_iter()]

    def command(self, text):
        """What LLDB's prompt would do with it."""
        r = lldb.SBCommandReturnObject()
        self.debugger.GetCommandInterpreter().HandleCommand(text, r)
        if not r.Succeeded():
            raise Wrong(f"{text}: {r.GetError()}")
        return r.GetOutput() or ""

    def log(self, path):
        return self.command(f"log enable -f {path} gdb-remote packets")


def main():
    # What LLDB itself prints is no answer of ours.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    driver = Driver()
    for line in sys.stdin:
        name, args = json.loads(line)
        try:
            answer = {"is": getattr(driver, name)(*args)}
        except Exception as e:  # pylint: disable=broad-except
            answer = {"failed": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # without LLDB's own farewell, which has been seen to hang


main()
