# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with the agent under bare QEMU: no devvm, libvirt or keeper; for tests of the agent.

    with BareVm([tree]) as vm:
        vm.setup()
        vm.link.exec(["true"], FRESH)
"""
import os
import secrets
import shutil
import subprocess
import tempfile
import time

import agentlink

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("DEVVM_BUILD", os.path.join(TOP, "build"))
ROOT_FOLDERS = "usr bin sbin lib lib32 lib64 libx32 etc opt".split()


def program(*parts):
    return os.path.join(BUILD, *parts)


class BareVm:
    def __init__(self, trees=(), cpus=1, memory=512, append="", disks=()):
        self.trees = list(trees)
        self.folder = tempfile.mkdtemp(prefix="devvm-bare-")
        self.console = os.path.join(self.folder, "console")
        self.token, self.key = secrets.token_hex(16), secrets.token_hex(16)
        self.port, self.nfsd, self.qemu, self.link = 0, None, None, None
        self.cpus, self.memory, self.append, self.disks = cpus, memory, append, list(disks)

    def __enter__(self):
        try:
            self.start_nfsd()
            self.start_qemu()
            self.connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.qemu, self.nfsd):
            if process:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_nfsd(self):
        """Also a second time, after its death: on the port of the first."""
        only = ",".join("only=" + name for name in ROOT_FOLDERS)
        lines = [f"listen-port {self.port}", "peer-any", f"token {self.token}", f"key {self.key}",
                 f"export root / ro,{only},hide-private,map=identity"]
        lines += [f"export t{i} {path} rw,map=root" for i, path in enumerate(self.trees)]
        self.nfsd = subprocess.Popen([program("nfs", "devvm-nfsd")], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE,
                                     stderr=open(os.path.join(self.folder, "nfsd.log"), "a"))
        self.nfsd.stdin.write("\n".join(lines + [""]).encode())
        self.nfsd.stdin.close()
        word, port = self.nfsd.stdout.readline().decode().split()
        assert word == "listening"
        self.port = int(port)

    def start_qemu(self):
        made = subprocess.run([program("tests", "vm", "make-initramfs"),
                               program("guest-agent", "devvm-agent")],
                              check=True, capture_output=True, text=True).stdout.split("\n")
        initramfs, image, self.release = made[:3]
        self.socket = os.path.join(self.folder, "agent.sock")
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max",
                "-m", str(self.memory), "-smp", str(self.cpus), "-nodefaults", "-display", "none",
                "-no-reboot", "-kernel", image, "-initrd", initramfs,
                "-append", f"console=ttyS0 quiet nokaslr panic=-1 {self.append}",
                "-serial", f"file:{self.console}", "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={self.socket},server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.devvm.agent.0",
                "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
        for i, size in enumerate(self.disks):
            path = os.path.join(self.folder, f"disk{i}")
            with open(path, "wb") as f:
                f.truncate(size)
            argv += ["-drive", f"if=none,id=disk{i},format=raw,file={path}",
                     "-device", f"virtio-blk-pci,drive=disk{i},serial=scratch{i}"]
        self.started = time.monotonic()
        self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

    def connect(self):
        if self.link:
            self.link.close()
        self.link = agentlink.AgentLink(self.socket)
        return self.link.hello()

    def setup_lines(self):
        lines = ["hostname bare", f"clock {time.time_ns()}",
                 "net 10.0.2.15/24 10.0.2.2 10.0.2.3", f"nfs 10.0.2.2 {self.port} {self.token}",
                 "root root", f"release {self.release}"]
        return lines + [f"tree t{i} {path}" for i, path in enumerate(self.trees)]

    def setup(self):
        done = self.link.setup(self.setup_lines())
        assert (done.how, done.value) == (agentlink.EXITED, 0), done
        return done

    def log(self):
        with open(self.console, errors="replace") as f:
            return f.read()
