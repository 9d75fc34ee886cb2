"""What bash and zsh complete for stillctl, from the daemon that it is asked to talk to."""

import os
import pty
import re
import select
import shutil
import time

from harness import HANG, Failed, check, equal

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


# ---- at a prompt

BASH = """\
PS1='READY> ' PS2=
bind 'set enable-bracketed-paste off'
bind '"\\C-x*": insert-completions'
show_line() { printf 'LINE<%s>\\n' "$READLINE_LINE"; READLINE_LINE= READLINE_POINT=0; }
bind -x '"\\C-xp": show_line'
source @SCRIPT@
"""
ZSH = """\
unsetopt prompt_cr prompt_sp beep
unset zle_bracketed_paste
PS1='READY> ' PS2=
fpath=(${ZDOTDIR} $fpath)
autoload -Uz compinit && compinit -u -D
insert_all() { _main_complete "$@"; compstate[insert]=all compstate[list]= }
zle -C insert_all complete-word insert_all
show_line() { zle -I; print -r -- "LINE<$BUFFER>"; BUFFER= }
zle -N show_line
bindkey -e
bindkey '^X*' insert_all
bindkey '^Xp' show_line
"""


class Prompt:
    """A shell that believes to have somebody at its terminal."""

    def __init__(self, t, shell):
        script = os.path.join(t.source, "packaging", "completions", f"stillctl.{shell}")
        if shutil.which(shell) is None:
            t.skip(f"{shell} is not installed")
        if not os.path.exists(script):
            t.skip("the completion is not beside these tests")
        self.shell, self.said = shell, b""
        if shell == "bash":
            argv = ["bash", "--noprofile", "--rcfile", t.file("bashrc", BASH.replace("@SCRIPT@", script)), "-i"]
        else:
            argv = ["zsh", "-d", "-i"]
            t.file(".zshrc", ZSH)
            shutil.copy(script, os.path.join(t.work, "_stillctl"))
        environment = {"PATH": f"{t.build}:{os.environ['PATH']}", "HOME": t.work, "ZDOTDIR": t.work, "TERM": "dumb",
                       "LC_ALL": "C.UTF-8", "TMPDIR": t.tmp}
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(t.work)
            os.execvpe(argv[0], argv, environment)
        try:
            self.until(rb"READY> ")
        except BaseException:
            self.end()
            raise

    def until(self, pattern):
        """Reads until the shell has said that."""
        end = time.monotonic() + HANG
        while not (found := re.search(pattern, self.said, re.S)):
            if not select.select([self.terminal], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Failed(f"{self.shell} says nothing more: {self.said!r}")
            try:
                self.said += os.read(self.terminal, 65536)
            except OSError:
                raise Failed(f"{self.shell} has ended: {self.said!r}") from None
        self.said = self.said[found.end():]
        return found

    def completed(self, line):
        """All that its last word is completed to, as the words that the shell has put there."""
        os.write(self.terminal, f"{line}\x18*\x18p".encode())
        said = self.until(rb"LINE<([^>]*)>").group(1).decode()
        self.until(rb"READY> ")
        given = line.rsplit(" ", 1)[0] + " "
        check(said.startswith(given), f"{said!r} goes on from {given!r}")
        return sorted(said[len(given):].split())

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def live_names(t, shell):
    idle = t.file("idle.js", "onmessage = () => {};")
    evil = t.file("app.js", "eval('onmessage = () => {}; //# sourceURL=$(touch${IFS}trapped)');\n")
    t.ctl("run", "-d", "--ready", "--name", "web-1", idle)
    prompt = Prompt(t, shell)
    try:
        ctl = f"stillctl -s {t.daemon.socket}"
        equal(prompt.completed(f"{ctl} wor"), ["world"])
        equal(prompt.completed(f"{ctl} world stop --enf"), ["--enforce"])
        equal(prompt.completed(f"{ctl} kill w"), ["web-1"])
        # What comes and goes while the shell is there.
        t.ctl("run", "-d", "--ready", "--name", "web-2", "--world", "shop", idle)
        equal(prompt.completed(f"{ctl} kill w"), ["web-1", "web-2"])
        equal(prompt.completed(f"{ctl} world stop s"), ["shop"])
        equal(prompt.completed(f"{ctl} run --world "), ["default", "shop"])
        t.ctl("kill", "web-1")
        equal(prompt.completed(f"{ctl} kill w"), ["web-2"])
        equal(prompt.completed(f"{ctl} status w"), ["web-1", "web-2"])
        # Whatever a guest has called its source, the shell runs nothing.
        t.ctl("run", "-d", "--ready", "--name", "app", evil)
        t.ctl("world", "stop")
        names = prompt.completed(f"{ctl} source app ")
        check("app.js" in names and not os.path.exists(os.path.join(t.work, "trapped")), names)
        # Without a daemon there is nothing to say, and no error to see.
        equal(prompt.completed("stillctl -s /nowhere kill w"), ["w"])
    finally:
        prompt.end()


def test_bash_completes_the_names_of_what_lives_at_its_prompt(t):
    live_names(t, "bash")


def test_zsh_completes_the_names_of_what_lives_at_its_prompt(t):
    live_names(t, "zsh")
