#!/usr/bin/env python3
"""How long a stop takes, from the store that closes the world until the last arrival was counted.

    stop_latency.py [--build DIR] [--rounds N] [--counts 1,8,32,128]

For each mix of VMs and each count: p50, p99 and the largest of the report's own elapsed_us; of the
whole round trip of the request as a client sees it; and, in the same run on the same workers, of a
loop of SIGSTOP to each until /proc says that all have stopped. One table. First version: rounds that
foreign load disturbed are not dropped, so that only a quiet machine gives figures worth keeping.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
import api  # noqa: E402  pylint: disable=wrong-import-position

SPIN = "let i = 0; for (;;) i++;"
IDLE = "globalThis.onmessage = () => {}"
WASM = ("new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, "
        "1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 108, 111, 111, 112, 0, 0, 10, 9, 1, 7, 0, 3, 64, "
        "12, 0, 11, 11]))).exports.loop()")
BLOCKED = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"
MIXES = {"idle": [IDLE], "blocked": [BLOCKED], "half busy": [SPIN, IDLE], "busy js": [SPIN],
         "busy wasm": [WASM]}


def quantiles(values):
    values = sorted(values)
    return values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)], values[-1]


def stopped_by_signal(pids):
    start = time.monotonic_ns()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    waiting = list(pids)
    while waiting:
        pid = waiting[-1]
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            if f.read().rsplit(")", 1)[1].split()[0] == "T":
                waiting.pop()
    took = (time.monotonic_ns() - start) / 1000
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    return took


def measure(client, texts, count, rounds):
    vms = [client.run(f"vm{i}.js", texts[i % len(texts)]) for i in range(count)]
    pids = [vm.pid for vm in client.vms()]
    time.sleep(0.3 + count / 100)  # let them warm up; nothing announces that
    inside, trip, signalled = [], [], []
    for _ in range(rounds):
        start = time.monotonic_ns()
        report = client.stop()
        trip.append((time.monotonic_ns() - start) / 1000)
        inside.append(report.elapsed_us)
        client.resume()
        time.sleep(0.002)
        signalled.append(stopped_by_signal(pids))
        time.sleep(0.002)
    for vm in vms:
        client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
    return quantiles(inside), quantiles(trip), quantiles(signalled)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--counts", default="1,8,32,128")
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "api"))
        module = api.messages(TOP, os.path.join(folder, "api"))
        path = os.path.join(folder, "run", "control.sock")
        daemon = subprocess.Popen([os.path.join(options.build, "stillpointd"), "--socket", path])
        try:
            while True:
                try:
                    client = api.Client(module, path, 600)
                    break
                except OSError:
                    time.sleep(0.05)
            print(f"stop latency in us, {options.rounds} rounds, {os.cpu_count()} CPUs; p50 / p99 / max")
            print(f"{'mix':<11}{'N':>5}{'stop':>26}{'request to reply':>26}{'SIGSTOP loop':>26}")
            for name, texts in MIXES.items():
                for count in map(int, options.counts.split(",")):
                    columns = measure(client, texts, count, options.rounds)
                    cells = "".join(f"{' / '.join(f'{v:.0f}' for v in c):>26}" for c in columns)
                    print(f"{name:<11}{count:>5}{cells}", flush=True)
            client.close()
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main()
