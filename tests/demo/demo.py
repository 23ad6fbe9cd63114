#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sh setup.sh demo: the whole loop on nilfs2, a real file system from Debian's kernel source.

A VM, the module built and loaded, gdb attached, mkfs and mount in the guest; then an edit that
carries a random number, a reload with gdb still attached, and gdb reads the number back from the
guest's memory. Every command is shown with what it said. Nothing is left behind but the work folder.
"""
import glob
import os
import queue
import random
import shlex
import shutil
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEVVM = os.path.join(TOP, "build", "orchestrator", "devvm")
WORK = os.path.expanduser("~/devvm-demo")
TREE = os.path.join(WORK, "nilfs2")
VM = "devvm-demo"
ANCHOR = "\tnilfs = alloc_nilfs(sb);\n"
DEADLINE = 120


class Trouble(Exception):
    pass


def title(text):
    print(f"\n== {text}", flush=True)


def shown(argv):
    words = ["devvm" if a == DEVVM else a for a in argv]
    return " ".join(shlex.quote(w) if not w.startswith("~") else w for w in words)


def run(*argv, check=True):
    """Shows a command and what it says."""
    print(f"$ {shown(argv)}", flush=True)
    begin = time.monotonic()
    done = subprocess.run(argv, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=DEADLINE)
    for line in done.stdout.splitlines():
        print(f"  {line}")
    print(f"  [{time.monotonic() - begin:.1f} s]", flush=True)
    if check and done.returncode:
        raise Trouble(f"{shown(argv)}: exit status {done.returncode}")
    return done


class Gdb:
    """devvm gdb with a file of commands, in the background; its output goes to us as it comes."""

    def __init__(self, commands):
        path = os.path.join(WORK, "commands.gdb")
        with open(path, "w") as f:
            f.write(commands)
        argv = [DEVVM, "gdb", VM, "--batch", "--", "-x", path]
        print(f"$ {shown(argv)} &          # with these commands:")
        for line in commands.splitlines():
            print(f"  (gdb) {line}")
        sys.stdout.flush()
        self.child = subprocess.Popen(argv, cwd=TREE, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, errors="replace", bufsize=1)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def until(self, marker):
        """Shows gdb's output up to a line with the marker; returns it."""
        seen = []
        while not seen or marker not in seen[-1]:
            try:
                line = self.lines.get(timeout=DEADLINE)
            except queue.Empty:
                raise Trouble(f"gdb did not get to {marker!r} in {DEADLINE} s") from None
            if line is None:
                raise Trouble(f"gdb ended before {marker!r}")
            seen.append(line)
            print(f"  gdb| {line}", flush=True)
        return seen

    def end(self):
        if self.child.poll() is None:
            self.child.terminate()
        self.child.wait(20)


def make_tree():
    archives = sorted(glob.glob("/usr/src/linux-source-*.tar.xz"))
    if not archives:
        raise Trouble("no /usr/src/linux-source-*.tar.xz: `sh setup.sh packages`")
    base = os.path.basename(archives[-1])[:-len(".tar.xz")]
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    print(f"$ tar -xJf {archives[-1]} {base}/fs/nilfs2     # into {WORK}", flush=True)
    subprocess.run(["tar", "-C", WORK, "-xJf", archives[-1], "--strip-components=2",
                    f"{base}/fs/nilfs2"], check=True)
    run("git", "init", "-q", ".")
    run("git", "add", ".")
    run("git", "-c", "user.name=demo", "-c", "user.email=demo@localhost", "commit", "-qm", base)


def edit(number):
    """Puts a line with the number into nilfs_fill_super, where no line moves; its line number."""
    path = os.path.join(TREE, "super.c")
    with open(path) as f:
        text = f.read()
    before, anchor, after = text.partition(ANCHOR)
    if not anchor:
        raise Trouble(f"{path} has no {ANCHOR.strip()!r}: another kernel series?")
    ours = f"\tWRITE_ONCE(sb->s_time_gran, {number}); /* the demo's edit */\n"
    with open(path, "w") as f:
        f.write(before + anchor + ours + after)
    return before.count("\n") + 2


def gdb_commands(line):
    return f"""set pagination off
set breakpoint pending on
break nilfs_fill_super
echo ready\\n
continue
backtrace 5
echo first stop\\n
continue
tbreak super.c:{line + 1}
continue
backtrace 3
info locals
printf "number %u\\n", sb->s_time_gran
delete
echo last stop\\n
continue
"""


def mount():
    """In a second process, as from a second terminal: it stops in the middle, with the guest."""
    argv = [DEVVM, "exec", VM, "--", "mount", "-t", "nilfs2", "/dev/vda", "/mnt"]
    print(f"$ {shown(argv)} &", flush=True)
    return subprocess.Popen(argv, cwd=TREE, stdin=subprocess.DEVNULL)


def story():
    title("A source tree: nilfs2, as it is in Debian's kernel source")
    make_tree()
    title("A VM with that tree in it")
    run(DEVVM, "up", VM)
    title("The module: built, inserted")
    run(DEVVM, "reload-module", "nilfs2")
    run(DEVVM, "exec", VM, "--", "mkfs.nilfs2", "-q", "/dev/vda")

    number = random.randint(10**6, 10**9)
    path = os.path.join(TREE, "super.c")
    with open(path) as f:
        line = f.read().partition(ANCHOR)[0].count("\n") + 2
    title("gdb, and a mount from another terminal: it stops in nilfs_fill_super")
    gdb = Gdb(gdb_commands(line))
    try:
        gdb.until("ready")
        mounting = mount()
        gdb.until("first stop")
        if mounting.wait(DEADLINE):
            raise Trouble("the mount failed")
        run(DEVVM, "exec", VM, "--", "sh", "-c", "findmnt -n /mnt && umount /mnt")
        title(f"An edit that carries the number {number}, and a reload with gdb attached")
        edit(number)
        run("git", "diff", "-U1")
        run(DEVVM, "reload-module", "nilfs2")
        title("The same mount again: gdb stops in the new code")
        mounting = mount()
        output = gdb.until("last stop")
        mounting.wait(DEADLINE)
    finally:
        gdb.end()
    read = [l.split()[1] for l in output if l.startswith("number ")]
    if read != [str(number)]:
        raise Trouble(f"gdb read {read} in the guest, the source says {number}")
    run(DEVVM, "exec", VM, "--", "umount", "/mnt")
    title("And away")
    run(DEVVM, "ls")
    run(DEVVM, "down", VM)
    run(DEVVM, "rm", VM)
    return number


def main():
    begin = time.monotonic()
    os.makedirs(TREE, exist_ok=True)
    subprocess.run([DEVVM, "rm", "--force", VM], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)  # of a demo that was cut off
    try:
        number = story()
    except (Trouble, subprocess.SubprocessError, OSError) as e:
        print(f"\ndemo FAILED: {e}", flush=True)
        run(DEVVM, "log", VM, check=False)
        run(DEVVM, "rm", "--force", VM, check=False)
        return 1
    print(f"\ndemo passed in {time.monotonic() - begin:.0f} s: gdb read {number} from the guest's "
          "memory, the number that the edited source carries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
