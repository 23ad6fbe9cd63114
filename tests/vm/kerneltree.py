# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that is a build tree, made from Debian's source with templates/kernel/debug.config.

It is built once, in the tests' cache, under a name that changes with the source and with the
configuration. A build that was cut off is resumed by the next one.
"""
import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import time

from harness import CACHE, TOP, Failed, expect, say, skip, wait_for

FRAGMENT = os.path.join(TOP, "templates", "kernel", "debug.config")
# Modules to work with; and some that the guest needs, as distributions have them.
MODULES = """CONFIG_MD=y
CONFIG_BLK_DEV_DM=m
CONFIG_NILFS2_FS=m
CONFIG_BLK_DEV_NULL_BLK=m
CONFIG_VIRTIO_NET=m
CONFIG_OVERLAY_FS=m
CONFIG_NFS_FS=m
CONFIG_NFS_V3=m
"""
TOOLS = ("make", "gcc", "flex", "bison", "bc")
TARGETS = ("bzImage", "modules", "scripts_gdb")
DISK_NEEDED = 6 << 30


def options(text):
    """{option: value} of a config; of an option that comes twice the last one counts."""
    lines = (line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name: value.strip() for name, value in lines}


def wanted_config():
    with open(FRAGMENT) as f:
        return f.read() + MODULES


def source_archive():
    archives = sorted(glob.glob("/usr/src/linux-source-*.tar.xz"))
    if not archives:
        skip("linux-source is not installed")
    return archives[-1]


def key(archive):
    st = os.stat(archive)
    what = f"{os.path.basename(archive)} {st.st_size} {int(st.st_mtime)}\n{wanted_config()}"
    return hashlib.sha256(what.encode()).hexdigest()[:12]


def unpack(archive, tree):
    """The folder appears with all of the source in it, or not at all."""
    if os.path.isdir(tree):
        return
    temp = tree + ".new"
    shutil.rmtree(temp, ignore_errors=True)
    os.makedirs(temp)
    say("unpacking", archive)
    subprocess.run(["tar", "-C", temp, "--strip-components=1", "-xJf", archive], check=True)
    os.rename(temp, tree)


def configure(tree):
    wanted = wanted_config()
    fragment = tree + ".config"
    if os.path.exists(os.path.join(tree, ".config")):
        return
    with open(fragment, "w") as f:
        f.write("".join(f"{k}={v}\n" for k, v in options(wanted).items()))
    make(tree, 120, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig")
    with open(os.path.join(tree, ".config")) as f:
        has = options(f.read())
    lost = {k: has.get(k) for k, v in options(wanted).items() if has.get(k) != v}
    if lost:
        os.unlink(os.path.join(tree, ".config"))
        raise Failed(f"options of {FRAGMENT} that this kernel does not take: {lost}")


def make(tree, deadline, *words):
    """make in the tree; a deadline that is missed skips the test, as what is made stays made."""
    log = tree + ".log"
    with open(log, "w") as f:
        child = subprocess.Popen(["make", f"-j{os.cpu_count()}", "-C", tree, *words], stdout=f,
                                 stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            status = child.wait(max(deadline, 1))
        except subprocess.TimeoutExpired:
            child.terminate()
            child.wait()
            skip(f"no time: the kernel was not built within {deadline:.0f} s; the next run goes on")
    with open(log) as f:
        expect(status == 0, f"make {' '.join(words)} in {tree}: {status}\n{f.read()[-3000:]}")


@contextlib.contextmanager
def kernel_tree(deadline):
    """The built tree's path, ours alone meanwhile; built within `deadline` seconds or skipped."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        skip(f"to build a kernel there is no {', '.join(missing)}")
    archive = source_archive()
    os.makedirs(CACHE, exist_ok=True)
    tree = os.path.join(CACHE, f"kernel-{key(archive)}")
    if not os.path.isdir(tree) and shutil.disk_usage(CACHE).free < DISK_NEEDED:
        skip(f"a kernel's build takes {DISK_NEEDED >> 30} GiB, more than {CACHE} has free")
    begin = time.monotonic()
    with open(tree + ".lock", "w") as lock:
        def locked():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        try:
            wait_for(locked, "the kernel's lock", deadline, pause=1)
        except Failed:
            skip(f"another run has used {tree} for {deadline} s")
        unpack(archive, tree)
        configure(tree)
        make(tree, deadline - (time.monotonic() - begin), *TARGETS)
        say(f"{tree} is ready after {time.monotonic() - begin:.0f} s")
        yield tree
