# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory of the keeper and the NFS server of one VM, after a module build in the guest and a walk
over the kernel headers."""
from harness import kernel_release


def kilobytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        fields = dict(line.split(":", 1) for line in f if ":" in line and "kB" in line)
    return {k: int(fields[k].split()[0]) for k in ("Rss", "Pss", "Private_Dirty")}


def bench(s):
    tree = s.probe_tree("memory")
    vm = s.new_vm()
    s.devvm("up", vm, cwd=tree)
    s.devvm("reload-module", "memory", "--in-guest", cwd=tree, deadline=600)
    s.guest(vm, f"find -L /lib/modules/{kernel_release()}/build/include | wc -l")
    sizes = {"keeper": kilobytes(s.keeper_pid(vm)), "nfsd": kilobytes(s.nfsd_pid(vm))}
    sizes["together"] = {k: sum(v[k] for v in sizes.values()) for k in sizes["keeper"]}
    print("\n### Memory (MiB)\n\n| | RSS | PSS | private, written |\n|---|---|---|---|")
    for name, size in sizes.items():
        print(f"| {name} | " + " | ".join(f"{v / 1024:.1f}" for v in size.values()) + " |")
    s.devvm("rm", "--force", vm)
