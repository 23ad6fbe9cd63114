# SPDX-License-Identifier: GPL-2.0-or-later
"""What reload-module adds to the bare steps: kbuild on the host, then rmmod and insmod in the same
guest. Pairs; each begins with an edit, so both build. The bare steps are timed where they run:
devvm's way into the guest is not counted for them."""
import os
import subprocess
import time

from common import difference_of_pairs, table
from harness import kernel_release

PAIRS = 15
BARE_IN_GUEST = """
t0=$(date +%s%N)
rmmod probe && insmod {ko}
t1=$(date +%s%N)
echo $(((t1 - t0) / 1000))
"""


def bare(s, vm, tree, build):
    """(build, rmmod + insmod) in seconds."""
    begin = time.monotonic()
    subprocess.run(["make", "-s", "-C", build, f"M={tree}", "modules"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    built = time.monotonic() - begin
    out = s.guest(vm, BARE_IN_GUEST.format(ko=os.path.join(tree, "probe.ko"))).out
    return built, int(out) / 1e6


def bench(s):
    build = f"/lib/modules/{kernel_release()}/build"
    tree = s.probe_tree()
    vm = s.new_vm()
    s.devvm("up", vm, cwd=tree)
    s.devvm("reload-module", "probe", cwd=tree)
    rows = {"bare build": [], "bare rmmod + insmod": [], "bare together": [],
            "devvm reload-module": []}
    for i in range(PAIRS):
        s.write_probe(tree, "probe", 1000 + i)
        built, swapped = bare(s, vm, tree, build)
        s.write_probe(tree, "probe", 2000 + i)
        done = s.devvm("reload-module", "probe", cwd=tree)
        rows["bare build"].append(built * 1000)
        rows["bare rmmod + insmod"].append(swapped * 1000)
        rows["bare together"].append((built + swapped) * 1000)
        rows["devvm reload-module"].append(done.seconds * 1000)
    table("Reload of a one-file module", "ms", rows, [
        "reload-module adds: " + difference_of_pairs(rows["devvm reload-module"],
                                                     rows["bare together"]) + " ms",
        f"The last one's own account:\n\n```\n{done.text}```"])
    s.devvm("rm", "--force", vm)
