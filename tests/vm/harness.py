# SPDX-License-Identifier: GPL-2.0-or-later
"""What VM scenarios share: a private place, the real devvm, and the proof that nothing is left.

    from harness import Scenario, expect

    with Scenario(__file__) as s:
        vm = s.new_vm()
        s.devvm("up", vm)                       # fails the test unless it exits with 0
        s.devvm("exec", vm, "--", "false", status=1)

A scenario has XDG folders of its own, so its libvirt session, sockets and VMs meet nobody's. Only
the cache (initramfs, libvirt's probing of QEMU) is shared between scenarios. At the end all its
VMs are removed with `devvm rm --force`, and then no domain, process, port lock or file may be left.
"""
import contextlib
import glob
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("DEVVM_BUILD", os.path.join(TOP, "build"))
DEVVM = os.path.join(BUILD, "orchestrator", "devvm")
LONG = os.environ.get("DEVVM_TIER") == "long"
CACHE = os.environ.get("DEVVM_TEST_CACHE", os.path.expanduser("~/.cache/devvm-tests"))
PORT_FOLDERS = ("/run/lock", "/var/lock", "/tmp")
COMMAND_DEADLINE = 120
SKIP_STATUS = 77

ours = itertools.count(1)


class Failed(Exception):
    """What was expected did not happen."""


class Skipped(Exception):
    """It cannot be shown here; the reason."""


def skip(reason):
    raise Skipped(reason)


def expect(condition, what):
    if not condition:
        raise Failed(what)


def expect_in(needle, text, what):
    expect(needle in text, f"{what}: no {needle!r} in:\n{text}")


def wait_for(condition, what, deadline=30.0, pause=0.02):
    """The condition's first true value; polls, as what it looks at has no event of its own."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {deadline} s: {what}")
        time.sleep(pause)


def say(*words):
    print("#", *words, flush=True)


class Follow:
    """Keeps reading what a process writes to its standard output; `text` is all of it so far."""

    def __init__(self, child):
        self.child, self.text = child, ""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.child.stdout:
            self.text += line

    def until(self, needle, deadline=60):
        def seen():
            if not self.thread.is_alive() and needle not in self.text:
                raise Failed(f"it ended before {needle!r}:\n{self.text}")
            return needle in self.text
        wait_for(seen, f"{needle!r} in the output:\n{self.text}", deadline)

    def end(self, deadline=60):
        """All of the output, once the process has ended."""
        self.child.wait(deadline)
        self.thread.join(10)
        return self.text


class Result:
    def __init__(self, argv, status, out, err, seconds):
        self.argv, self.status, self.out, self.err = argv, status, out, err
        self.seconds = seconds

    @property
    def text(self):
        return self.out + self.err

    def json(self):
        return json.loads(self.out)


def alive(pid):
    """True while the process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def parent(pid):
    """The parent's pid; 0 when the process has gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def processes(needle):
    """Our own user's processes whose command line contains `needle`: {pid: command line}."""
    found = {}
    for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
        try:
            if os.stat(f"/proc/{pid}").st_uid != os.getuid():
                continue
        except OSError:
            continue
        line = cmdline(pid)
        if needle in line and pid != os.getpid() and alive(pid):
            found[pid] = line
    return found


def kernel_release():
    """The newest installed kernel with modules and headers, as devvm picks it."""
    names = [os.path.basename(os.path.dirname(p)) for p in glob.glob("/lib/modules/*/build")]
    names = [n for n in names if os.path.exists(f"/boot/vmlinuz-{n}")]
    if not names:
        skip("no kernel with headers is installed")
    return max(names, key=lambda n: [int(x) for x in re.findall(r"\d+", n)])


def linux_source(*folders):
    """Debian's kernel source, the named folders of it, unpacked once into the cache."""
    archives = sorted(glob.glob("/usr/src/linux-source-*.tar.xz"))
    if not archives:
        skip("linux-source is not installed")
    archive = archives[-1]
    stamp = int(os.stat(archive).st_mtime)
    base = os.path.basename(archive)[:-len(".tar.xz")]
    top = os.path.join(CACHE, f"{base}-{stamp}")
    missing = [f for f in folders if not os.path.isdir(os.path.join(top, f))]
    if missing:
        os.makedirs(CACHE, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as temp:
            subprocess.run(["tar", "-C", temp, "-xJf", archive,
                            *[f"{base}/{f}" for f in missing]], check=True)
            for f in missing:
                os.makedirs(os.path.dirname(os.path.join(top, f)), exist_ok=True)
                with contextlib.suppress(OSError):  # another scenario was faster
                    os.rename(os.path.join(temp, base, f), os.path.join(top, f))
    return top


PROBE_SOURCE = """// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

static int number = {number};
module_param(number, int, 0444);

noinline int probe_work(int twice);
noinline int probe_work(int twice)
{{
	int product = twice * number;

	return product + 1; /* line to break on */
}}

static int __init probe_init(void)
{{
	pr_info("{name}: number %d\\n", number);
	{init}
	return probe_work(2) ? 0 : -EINVAL;
}}

static void __exit probe_exit(void)
{{
}}

module_init(probe_init);
module_exit(probe_exit);
MODULE_LICENSE("GPL");
"""


class Scenario:
    def __init__(self, file, private_cache=False):
        self.name = os.path.splitext(os.path.basename(file))[0]
        self.private_cache = private_cache
        self.vms = []
        self.children = []

    # --- life ------------------------------------------------------------------------------------

    def __enter__(self):
        if os.getuid() == 0:
            print("VM scenarios run as an ordinary user: sh setup.sh test does that")
            sys.exit(SKIP_STATUS)
        expect(os.path.exists(DEVVM), f"{DEVVM} is not built")
        # Short: libvirt puts sockets deep below, and a socket's path holds 107 bytes.
        self.base = tempfile.mkdtemp(prefix="dv-", dir="/tmp")
        home = pwd.getpwuid(os.getuid()).pw_dir
        self.work = tempfile.mkdtemp(prefix="devvm-test-", dir=home)
        self.mark = os.path.basename(self.base)
        cache = os.path.join(self.base, "x") if self.private_cache else CACHE
        folders = {"XDG_RUNTIME_DIR": "r", "XDG_CONFIG_HOME": "c", "XDG_DATA_HOME": "d",
                   "XDG_STATE_HOME": "s"}
        self.env = {k: v for k, v in os.environ.items()
                    if k in ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "DEVVM_TEST_RUN")}
        for variable, folder in folders.items():
            path = os.path.join(self.base, folder)
            os.mkdir(path, 0o700)
            self.env[variable] = path
        os.makedirs(cache, exist_ok=True)
        self.env.update(XDG_CACHE_HOME=cache, LANG="C.UTF-8", TERM="dumb",
                        DEVVM_TEST_MARK=self.mark)
        return self

    def __exit__(self, kind, error, trace):
        status = 0
        if kind and issubclass(kind, Skipped):
            status = SKIP_STATUS
        elif kind:
            status = 1
            traceback.print_exception(kind, error, trace, limit=-4)
            self.show_logs()
        try:
            left = self.clean_up()
        except Exception as e:  # the verdict must come out whatever the cleaning meets
            left = [f"cleaning up failed: {e}"]
        for line in left:
            print("LEFT BEHIND:", line)
            status = 1
        self.remove_place()
        print(str(error) if status == SKIP_STATUS else "done" if status == 0 else "FAILED",
              flush=True)
        if kind is KeyboardInterrupt:
            return False
        sys.exit(status)

    def show_logs(self):
        for pattern in ("r/devvm/*/keeper.log", "d/devvm/*/console*"):
            for path in sorted(glob.glob(os.path.join(self.base, pattern))):
                with contextlib.suppress(OSError), open(path, errors="replace") as f:
                    say(f"--- the end of {path}")
                    print("".join(f.readlines()[-25:]))

    def clean_up(self):
        """Removes the VMs as a user would; returns what is left all the same."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        left = []
        for vm in self.vms:
            done = self.run(DEVVM, "rm", "--force", vm)
            if done.status not in (0, 4):  # 4: no such VM, the scenario has removed it
                left.append(f"devvm rm --force {vm}: {done.status}: {done.text}")
            left += self.left_of(vm)
        self.end_libvirt()
        for pid, line in self.marked().items():
            left.append(f"process {pid}: {line}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def left_of(self, vm):
        """What of a VM is still there: nothing, once it is removed. Processes may need a moment
        to end."""
        def look():
            left = [f"process {p}: {c}" for p, c in processes(f"{vm}").items() if self.of_vm(c, vm)]
            return left
        with contextlib.suppress(Failed):
            wait_for(lambda: not look(), "end of processes", 3)
        left = look()
        names = self.virsh("list", "--all", "--name").out.split()
        left += [f"domain {vm}"] if vm in names else []
        for folder in ("r/devvm", "d/devvm", "s/devvm"):
            left += [f"file {p}" for p in glob.glob(os.path.join(self.base, folder, vm + "*"))]
        for folder in PORT_FOLDERS:
            for path in glob.glob(os.path.join(folder, "devvm-gdb-*")):
                with contextlib.suppress(OSError), open(path) as f:
                    if f"vm={vm}\n" in f.read():
                        left.append(f"port lock {path}")
        return left

    @staticmethod
    def of_vm(line, vm):
        """A command line that serves the VM: QEMU's, the keeper's, the NFS server's."""
        return re.search(rf"(^|[/=,]){re.escape(vm)}($|[ ,/])", line) is not None

    def marked(self):
        """Processes that inherited our environment."""
        mark = f"DEVVM_TEST_MARK={self.mark}".encode()
        found = {}
        for pid in processes(""):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as f:
                if mark in f.read().split(b"\0"):
                    found[pid] = cmdline(pid)
        return found

    def end_libvirt(self):
        """The session's daemons that our private runtime folder made libvirt start."""
        for path in glob.glob(os.path.join(self.base, "r/libvirt/*.pid")):
            with contextlib.suppress(OSError, ValueError):
                with open(path) as f:
                    pid = int(f.read())
                if "virt" not in cmdline(pid):
                    continue
                os.kill(pid, signal.SIGTERM)
                with contextlib.suppress(Failed):
                    wait_for(lambda p=pid: not alive(p), "libvirt's end", 10)

    def remove_place(self):
        for folder in (self.base, self.work):
            subprocess.run(["chmod", "-R", "u+rwX", folder], stderr=subprocess.DEVNULL)
            shutil.rmtree(folder, ignore_errors=True)

    # --- commands --------------------------------------------------------------------------------

    def run(self, *argv, cwd=None, stdin="", deadline=COMMAND_DEADLINE, env=None):
        """Any command in the scenario's environment; never fails but for the deadline."""
        begin = time.monotonic()
        child = self.start(*argv, cwd=cwd, env=env)
        try:
            out, err = child.communicate(stdin, timeout=deadline)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            out, err = child.communicate()
            raise Failed(f"{' '.join(argv)}: not done after {deadline} s\n{out}{err}") from None
        self.children.remove(child)
        return Result(argv, child.returncode, out, err, time.monotonic() - begin)

    def start(self, *argv, cwd=None, env=None, **options):
        """A command that goes on while the scenario does; ended with it."""
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        child = subprocess.Popen(argv, cwd=cwd or self.work, env={**self.env, **(env or {})},
                                 text=True, errors="replace", **{**pipes, **options})
        self.children.append(child)
        return child

    def devvm(self, *args, status=0, **options):
        """devvm ARGS; fails the scenario unless it exits with `status` (None: any)."""
        done = self.run(DEVVM, *args, **options)
        if os.environ.get("DEVVM_TEST_VERBOSE"):
            say("devvm", *args, f"→ {done.status} in {done.seconds:.2f} s\n{done.text}")
        self.no_trace(done)
        if status is not None and done.status != status:
            raise Failed(f"devvm {' '.join(args)}: exit status {done.status}, not {status}\n"
                         f"{done.text}")
        return done

    @staticmethod
    def no_trace(done):
        """Whatever goes wrong, a user never sees our insides."""
        for sign in ("Traceback (most recent", "AddressSanitizer", "runtime error:", "CRITICAL **",
                     "WARNING **", "libvirt: ", "Segmentation fault"):
            expect(sign not in done.text, f"{' '.join(done.argv)} shows its insides:\n{done.text}")
        expect(done.status is None or done.status >= 0,
               f"{' '.join(done.argv)}: killed by signal {-done.status}\n{done.text}")

    def virsh(self, *args):
        return self.run("virsh", "-c", "qemu:///session", *args)

    def guest(self, vm, script, **options):
        """A shell command in the guest."""
        return self.devvm("exec", vm, "--", "sh", "-c", script, **options)

    def gdb(self, vm, *commands, deadline=120, **options):
        """gdb's output for a list of its commands, on the VM."""
        args = ["gdb", vm, "--batch"]
        for command in commands:
            args += ["-ex", command]
        return self.devvm(*args, deadline=deadline, **options)

    def as_second_user(self, *argv, stdin="", timeout=60):
        """Runs a command as another user; skips where there is none."""
        path = os.environ.get("DEVVM_SECOND_USER")
        if not path:
            skip("no second user here: root's `sh setup.sh test` provides one")
        with socket.socket(socket.AF_UNIX) as conn:
            conn.settimeout(timeout + 10)
            conn.connect(path)
            request = {"argv": argv, "stdin": stdin, "timeout": timeout}
            conn.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(conn.makefile().readline())
        return Result(argv, answer["status"], answer["out"], answer["err"], 0)

    # --- things to work on -----------------------------------------------------------------------

    def new_vm(self):
        """A name that no other VM has; the VM is removed at the end."""
        vm = f"t{next(ours)}-{self.mark[3:]}"
        self.vms.append(vm)
        return vm

    def status(self, vm):
        return self.devvm("status", vm, "--json").json()

    def keeper_pid(self, vm):
        return self.only_process(vm, "devvm-keeper")

    def nfsd_pid(self, vm):
        """The VM's NFS server; None while there is none."""
        keeper = self.keeper_pid(vm)
        with open(f"/proc/{keeper}/task/{keeper}/children") as f:
            children = [int(p) for p in f.read().split()]
        found = [p for p in children if "devvm-nfsd" in cmdline(p)]
        expect(len(found) <= 1, f"one NFS server of {vm}: {found}")
        return found[0] if found else None

    def qemu_pid(self, vm):
        return self.only_process(vm, "qemu-system")

    def only_process(self, vm, program):
        found = [p for p, c in processes(program).items() if self.of_vm(c, vm)]
        # A child between fork and exec still has its parent's name.
        found = [p for p in found if parent(p) not in found]
        expect(len(found) == 1, f"one {program} of {vm}: {found}")
        return found[0]

    def tree(self, name="tree"):
        """An empty git tree, as a user's project."""
        path = os.path.join(self.work, name)
        os.mkdir(path)
        subprocess.run(["git", "init", "-q", path], check=True)
        return path

    def probe_tree(self, name="probe", number=1, init=""):
        """A tree with a one-file module of that name: parameter `number`, function probe_work."""
        path = self.tree(name)
        with open(os.path.join(path, "Makefile"), "w") as f:
            f.write(f"obj-m := {name}.o\n")
        self.write_probe(path, name, number, init)
        return path

    @staticmethod
    def write_probe(path, name, number, init=""):
        with open(os.path.join(path, f"{name}.c"), "w") as f:
            f.write(PROBE_SOURCE.format(name=name, number=number, init=init))

    def source_tree(self, folder, conf=""):
        """A copy of a folder of Debian's kernel source as a project, with a devvm.conf."""
        top = linux_source(folder)
        path = os.path.join(self.work, os.path.basename(folder))
        shutil.copytree(os.path.join(top, folder), path, symlinks=True)
        subprocess.run(["git", "init", "-q", path], check=True)
        if conf:
            with open(os.path.join(path, "devvm.conf"), "w") as f:
                f.write(conf)
        return path
