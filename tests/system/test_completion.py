"""What bash completes for stillctl, from the daemon that it is asked to talk to."""

import os

from harness import check, equal

# As bash calls it: the words of the line, of which the last is completed.
ASK = """\
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_stillctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(t, *words, program=None):
    script = os.path.join(t.source, "packaging", "completions", "stillctl.bash")
    if not os.path.exists(script):
        t.skip("the completion is not beside these tests")
    program = program or t.program("stillctl")
    r = t.run(["bash", "-c", ASK, "ask", script, program, "-s", t.daemon.socket, *words])
    equal(r.code, 0)
    equal(r.err, "")
    return sorted(filter(None, r.out.split("\n")))


def test_names_of_vms_worlds_and_debuggers_are_completed_as_they_come_and_go(t):
    program = t.file("idle.js", "onmessage = () => {};")
    t.ctl("run", "-d", "--ready", "--name", "web-1", program)
    t.ctl("run", "-d", "--ready", "--name", "web-2", "--world", "shop", program)
    equal(completed(t, "kill", ""), ["web-1", "web-2"])
    equal(completed(t, "call", "web-2"), ["web-2"])
    equal(completed(t, "world", "stop", "s"), ["shop"])
    equal(completed(t, "run", "--world", ""), ["default", "shop"])
    t.ctl("world", "stop", "shop")
    check(any(name.startswith("cli:") for name in completed(t, "debugger", "close", "")), "no debugger")
    t.ctl("kill", "web-1")
    equal(completed(t, "kill", "web"), ["web-2"])
    equal(completed(t, "status", "web"), ["web-1", "web-2"])
    t.ctl("world", "resume", "shop")


def test_verbs_and_options_are_completed(t):
    equal(completed(t, "world", "res"), ["resume"])
    equal(completed(t, "world", "stop", "--enf"), ["--enforce"])
    equal(completed(t, "wait", "--for", "st"), ["stopped"])


def test_what_a_guest_calls_its_source_is_never_run_by_the_shell(t):
    trap = os.path.join(t.work, "trapped")
    t.file("app.js", "eval('onmessage = () => {}; //# sourceURL=$(touch${IFS}trapped)');\n"
                     "eval('0; //# sourceURL=a;b.js');\n")
    t.ctl("run", "-d", "--ready", "--name", "app", "app.js")
    t.ctl("world", "stop")
    names = t.ctl("source", "app", "-o", "name").out
    check("app.js" in names and "$(touch" in names, f"these are not its sources: {names}")
    equal(completed(t, "source", "app", ""), ["app.js"])
    # And whatever else a daemon may say.
    liar = t.file("liar", "#!/bin/sh\necho '$(touch trapped)'\necho '`touch trapped`'\necho fine\n")
    os.chmod(liar, 0o755)
    for words in (["kill", ""], ["status", ""], ["world", "stop", ""], ["debugger", "close", ""],
                  ["break", "rm", ""], ["source", "app", ""], ["run", "--world", ""]):
        equal(completed(t, *words, program=liar), ["fine"])
    check(not os.path.exists(trap), "a name was run as a command")
