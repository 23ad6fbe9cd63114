# SPDX-License-Identifier: GPL-2.0-or-later
"""`devvm up` to the first answer of `devvm exec NAME -- true`, against a bare QEMU with the same
kernel, memory and CPUs reaching /init; pairs, one of each in turn. Cold boots: the VM is removed
after each."""
import os
import select
import struct
import subprocess
import time

from common import ratio_of_pairs, table
from harness import expect, kernel_release

PAIRS = 15
MEMORY_MIB = 1024
CPUS = 1
INIT_SOURCE = """
#include <unistd.h>
int main(void)
{
	write(1, "REACHED\\n", 8);
	for (;;)
		pause();
}
"""


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    name = name.encode() + b"\0"
    head = "070701" + "".join(f"{v:08x}" for v in (number, mode, 0, 0, 1, 0, len(data), 0, 0,
                                                   *device, len(name), 0))
    out = head.encode() + name
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(data) % 4)


def bare_initramfs(folder):
    source, program = os.path.join(folder, "init.c"), os.path.join(folder, "init")
    with open(source, "w") as f:
        f.write(INIT_SOURCE)
    subprocess.run(["gcc", "-static", "-O1", "-w", "-o", program, source], check=True)
    path = os.path.join(folder, "bare.cpio")
    with open(program, "rb") as f, open(path, "wb") as out:
        out.write(cpio_entry(1, "dev", 0o40755))
        out.write(cpio_entry(2, "dev/console", 0o20600, device=(5, 1)))
        out.write(cpio_entry(3, "init", 0o100755, f.read()))
        out.write(cpio_entry(0, "TRAILER!!!", 0))
    return path


def bare_qemu(kernel, initramfs, accel):
    """Seconds from the start of the process to the line that /init writes."""
    argv = ["qemu-system-x86_64", "-machine", "q35", "-accel", accel, "-cpu",
            "host" if accel == "kvm" else "max", "-m", str(MEMORY_MIB), "-smp", str(CPUS),
            "-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd",
            initramfs, "-append", "console=ttyS0 quiet nokaslr panic=-1"]
    begin = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as child:
        seen = b""
        while b"REACHED" not in seen:
            ready, _, _ = select.select([child.stdout], [], [], 60)
            data = os.read(child.stdout.fileno(), 4096) if ready else b""
            expect(data, f"bare QEMU reaches /init: {seen!r}")
            seen += data
        took = time.monotonic() - begin
        child.kill()
    return took


def one_up(s, tree):
    vm = s.new_vm()
    begin = time.monotonic()
    up = s.devvm("up", "-v", vm, cwd=tree)
    to_up = time.monotonic() - begin
    s.devvm("exec", vm, "--", "true")
    to_exec = time.monotonic() - begin
    kvm = "kvm" in s.virsh("dumpxml", vm).out.split(">")[0]
    s.devvm("rm", "--force", vm)
    return to_up, to_exec, up.text, kvm


def bench(s):
    tree = s.tree("boot")
    with open(os.path.join(tree, "devvm.conf"), "w") as f:
        f.write(f"[vm]\nmemory = {MEMORY_MIB}M\ncpus = {CPUS}\ndisks = none\n")
    initramfs = bare_initramfs(s.base)
    kernel = f"/boot/vmlinuz-{kernel_release()}"
    _, _, _, kvm = one_up(s, tree)  # fills the cache: initramfs, libvirt's view of QEMU
    accel = "kvm" if kvm else "tcg"
    bare_qemu(kernel, initramfs, accel)
    rows = {"bare QEMU to /init": [], "devvm up returns": [], "devvm up + exec true": []}
    for _ in range(PAIRS):
        rows["bare QEMU to /init"].append(bare_qemu(kernel, initramfs, accel))
        to_up, to_exec, text, _ = one_up(s, tree)
        rows["devvm up returns"].append(to_up)
        rows["devvm up + exec true"].append(to_exec)
    table("Boot", "s", rows, [
        "up + exec over bare: " + ratio_of_pairs(rows["devvm up + exec true"],
                                                 rows["bare QEMU to /init"]),
        f"{accel}, {MEMORY_MIB} MiB, {CPUS} CPU. The last up's own account:\n\n```\n{text}```"])
