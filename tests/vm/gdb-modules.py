#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 600
"""gdb's module symbols on a real kernel, while modules come and go under an attached gdb."""
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile

from bare_guest import Gdb, Guest, vmlinux
from harness import LONG, Failed, Skipped, expect, expect_in, kernel_release, say

SOURCES = {
    "Kbuild": "obj-m := dvprobe.o dvdata.o\ndvprobe-y := probe-main.o probe-calc.o\n",
    "probe.h": "int probe_calc(int n);\n",
    "probe-main.c": """// SPDX-License-Identifier: GPL-2.0
#include <linux/delay.h>
#include <linux/module.h>
#include "edit.h"
#include "probe.h"

static int answer = EDIT;
static char room[256];
static const char words[] = "words in rodata";
static int __initdata seed = EDIT + 1;

static int poke_set(const char *val, const struct kernel_param *kp)
{
	int n, i;

	if (kstrtoint(val, 0, &n))
		return -EINVAL;
	for (i = 0; i < (n > 1000 ? n - 1000 : 1); i++) {
		answer = probe_calc(n);
		if (n > 1000)
			msleep(1);
	}
	snprintf(room, sizeof(room), "%s %d", words, n);
	return 0;
}

static const struct kernel_param_ops poke_ops = {.set = poke_set};
module_param_cb(poke, &poke_ops, NULL, 0200);

static int __init probe_init(void)
{
	int edit = EDIT;

	answer += seed;
	pr_info("dvprobe: edit %d answer %d\\n", edit, answer);
	return FAIL;
}

static void __exit probe_exit(void)
{
	pr_info("dvprobe: gone %d %s\\n", answer, room);
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_LICENSE("GPL");
""",
    "probe-calc.c": """// SPDX-License-Identifier: GPL-2.0
#include <linux/printk.h>
#include "edit.h"
#include "probe.h"

noinline int probe_calc(int n)
{
	int edit = EDIT;
	const char *who = __func__;

	if (n < 0)
		return 0;
	pr_debug("dvprobe: %s %d\\n", who, edit);
	return n * 2 + edit; /* MARK */
}
""",
    # Data and nothing else: a module with an empty .text.
    "dvdata.c": """// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/percpu.h>

int dvdata_shared = 4711;
EXPORT_SYMBOL_GPL(dvdata_shared);
DEFINE_PER_CPU(int, dvdata_percpu) = 55;
EXPORT_PER_CPU_SYMBOL_GPL(dvdata_percpu);
MODULE_LICENSE("GPL");
""",
}
POKE = "/sys/module/dvprobe/parameters/poke"


class Lab:
    """The module's source on the host, and a guest to insert it in."""

    def __init__(self, folder):
        self.folder = folder
        self.release = kernel_release()
        self.vmlinux = vmlinux(self.release)
        self.source = os.path.join(folder, "src")
        os.mkdir(self.source)
        for name, text in SOURCES.items():
            self.write(name, text)
        self.guest = self.last_gdb = None

    def write(self, name, text):
        with open(os.path.join(self.source, name), "w", encoding="utf-8") as f:
            f.write(text)

    def build(self, edit, fail=0):
        """dvprobe.ko with EDIT in it, stripped as the guest gets it."""
        self.write("edit.h", f"#define EDIT {edit}\n#define FAIL {fail}\n")
        self.write("probe-calc.c", SOURCES["probe-calc.c"].replace("MARK", f"MARK {edit}"))
        subprocess.run(["make", "-s", "-C", f"/lib/modules/{self.release}/build",
                        f"M={self.source}", "modules"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        return self.stripped("dvprobe")

    def stripped(self, name):
        out = os.path.join(self.folder, "stripped.ko")
        subprocess.run(["strip", "-g", "-o", out, os.path.join(self.source, name + ".ko")],
                       check=True)
        with open(out, "rb") as f:
            return f.read()

    def boot(self, **options):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.guest = Guest(folder, self.release, **options)
        return self.guest

    def gdb(self, guest):
        self.last_gdb = Gdb(guest, self.vmlinux, search=self.source)
        return self.last_gdb


def check_clean(text):
    for word in ("Traceback", "Python Exception", "Cannot insert", "Error in re-setting"):
        expect(word not in text, f"{word!r} in gdb's words:\n{text[-3000:]}")


def reloads(lab, guest, rounds):
    """Edits under one attached gdb: init, a condition, file and line, each with the new values."""
    guest.put(lab.build(1), "/tmp/dvprobe.ko")
    guest.run("insmod /tmp/dvprobe.ko")
    gdb = lab.gdb(guest)
    gdb.do("break probe_init", "break probe_calc if n == 77", "break probe-calc.c:14", "watch room[0]")
    for number in range(rounds):
        edit = random.randrange(2, 1 << 29)
        mark = gdb.start("continue")
        guest.put(lab.build(edit), "/tmp/dvprobe.ko")
        work = guest.start(f"rmmod dvprobe; insmod /tmp/dvprobe.ko && echo 77 >{POKE}")
        say(f"reload {number}: edit {edit}")
        expect_in("probe_init () at", gdb.wait(mark), "stops in init")
        text = gdb.do("next", "next", "print edit", "print seed")
        expect_in(f"= {edit}\n", text, "the edit's number in init")
        expect_in(f"= {edit + 1}\n", text, "init data")
        expect_in("probe_calc (n=77", gdb.do("continue"), "the condition is true")
        expect_in(f"/* MARK {edit} */", gdb.do("continue"), "the edited line")
        text = gdb.do("print edit", "print who", "list 14,14", "backtrace 2")
        for want in (f"= {edit}\n", '"probe_calc"', f"MARK {edit} ", "poke_set"):
            expect_in(want, text, "values where it stopped")
        expect_in("New value = 119 'w'", gdb.do("continue"), "the watchpoint, in the new module")
        expect_in('"words in rodata"', gdb.do("print words"), ".rodata")
        mark = gdb.start("continue")
        status, _ = guest.wait(work)
        expect(status == 0, "the guest did it all")
        gdb.interrupt(mark)
    check_clean(gdb.log)
    times = gdb.do("python print('ms', *[round(1000 * t, 1) for t in devvm_session.session.loader.times])")
    numbers = sorted(float(n) for n in re.findall(r"[\d.]+", times.split("ms", 1)[1]))
    say(f"{len(numbers)} hooks, ms: median {statistics.median(numbers)}, last tenth from "
        f"{numbers[len(numbers) * 9 // 10]}, worst {numbers[-1]}")
    gdb.quit()
    expect(guest.running(), "the guest runs on after gdb's quit")
    guest.run("rmmod dvprobe")


def failed_init(lab, guest):
    """A module whose init fails leaves nothing behind in gdb; the next build works."""
    guest.put(lab.build(100, fail=-22), "/tmp/dvprobe.ko")
    gdb = lab.gdb(guest)
    gdb.do("break probe_init", "break probe_calc")
    mark = gdb.start("continue")
    work = guest.start("insmod /tmp/dvprobe.ko")
    gdb.wait(mark)
    text = gdb.do("finish", "finish")
    expect_in("Value returned is $2 = -22", text, "finish, out of init that fails")
    mark = gdb.start("delete 1", "continue")
    expect(guest.wait(work)[0] != 0, "the insert fails")
    gdb.interrupt(mark)
    expect_in("no module symbols", gdb.do("devvm modules"), "its symbols are gone")
    guest_text = gdb.do("info breakpoints")
    expect_in("<PENDING>", guest_text, "its breakpoint waits")
    mark = gdb.start("continue")
    guest.put(lab.build(101), "/tmp/dvprobe.ko")
    work = guest.start(f"insmod /tmp/dvprobe.ko && echo 5 >{POKE}")
    expect_in("probe_calc (n=5", gdb.wait(mark), "hits in the good build")
    gdb.do("delete")
    gdb.start("continue")
    expect(guest.wait(work)[0] == 0, "the guest did it all")
    check_clean(gdb.log)
    gdb.kill()
    guest.let_go()
    guest.run("rmmod dvprobe; insmod /tmp/dvprobe.ko; rmmod dvprobe")
    expect(guest.running(), "no breakpoint of the killed gdb is left")


WAYS_ON = (("finish", "next", "next"), ("finish", "until"),
           ("finish", "tbreak msleep", "continue", "finish"))


def finish_under_reloads(lab, guest, rounds):
    """finish, next, until and up, while other modules come and go on the other CPU."""
    guest.put(lab.stripped("dvdata"), "/tmp/dvdata.ko")
    guest.run("insmod /tmp/dvprobe.ko")
    gdb = lab.gdb(guest)
    gdb.do("break probe_calc", "break probe_exit")
    mark = gdb.start("continue")
    guest.run("taskset 2 sh -c 'while :; do insmod /tmp/dvdata.ko; rmmod dvdata; done' "
              ">/dev/null 2>&1 & echo $! >/tmp/churn")
    work = guest.start(f"echo {1000 + rounds} >{POKE}; rmmod dvprobe; insmod /tmp/dvprobe.ko; "
                       f"echo 5 >{POKE}")
    gdb.wait(mark)
    for number in range(rounds - 1):
        text = gdb.do(*WAYS_ON[number % 3])
        if number % 3 == 0:
            expect_in("Value returned is", text, "finish ends where it must")
        text = gdb.do("continue")
        expect_in("probe_calc (n=", text, f"round {number}")
    gdb.do("disable 1")
    expect_in("probe_exit ()", gdb.do("continue"), "stops in exit")
    gdb.do("enable 1", "finish")
    expect_in("probe_calc (n=5", gdb.do("finish", "continue") + gdb.do("info program"),
              "finish over the removal, then the new module's function")
    gdb.do("delete")
    mark = gdb.start("continue")
    guest.wait(work)
    guest.run("kill $(cat /tmp/churn)")
    gdb.interrupt(mark)
    check_clean(gdb.log)
    gdb.quit()


def without_text(lab, guest):
    guest.run("rmmod dvdata 2>/dev/null; insmod /tmp/dvdata.ko")
    gdb = lab.gdb(guest)
    text = gdb.do("devvm modules", "print dvdata_shared",
                  "print *(int *)((char *)&dvdata_percpu + __per_cpu_offset[1])")
    for want in ("dvdata  text none", "= 4711\n", "= 55\n"):
        expect_in(want, text, "a module without text")
    check_clean(gdb.log)
    gdb.quit()


def early_and_unmapped(lab):
    """Attached before the first instruction, and to a CPU in user space with the kernel unmapped."""
    guest = lab.boot(cpus=1, append="pti=on", stopped=True, files={"dvprobe.ko": lab.build(200)})
    gdb = lab.gdb(guest)
    mark = gdb.start("break probe_init", "break probe_calc", "continue")
    guest.wait_ready()
    work = guest.start(f"insmod /dvprobe.ko; echo 5 >{POKE}; while :; do :; done")
    expect_in("probe_init () at", gdb.wait(mark), "set before the kernel ran, hits")
    expect_in("probe_calc (n=5", gdb.do("continue"), "so does the other")
    expect_in("= 200\n", gdb.do("next", "next", "print edit"), "with the right value")
    check_clean(gdb.log)
    gdb.quit()
    for _ in range(20):
        gdb = lab.gdb(guest)
        if "= 1\n" in gdb.do("print (unsigned long)$pc < (1ul << 63)"):
            break
        gdb.quit()
    else:
        raise Failed("the guest is never in user space")
    gdb.do("break scheduler_tick")
    text = gdb.do("continue", "devvm modules", "print answer")
    expect_in("devvm: dvprobe", text, "symbols come as soon as the kernel is mapped")
    check_clean(gdb.log)
    gdb.quit()
    expect(work > 0 and guest.running(), "the guest runs on")
    guest.end()


def main():
    with tempfile.TemporaryDirectory(prefix="devvm-gdb-") as folder:
        lab = Lab(folder)
        guest = lab.boot()
        try:
            reloads(lab, guest, 50 if LONG else 6)
            failed_init(lab, guest)
            finish_under_reloads(lab, guest, 60 if LONG else 12)
            without_text(lab, guest)
            guest.end()
            early_and_unmapped(lab)
        except Failed:
            if lab.last_gdb:
                print(lab.last_gdb.log[-4000:])
            raise
        finally:
            lab.guest.end()


try:
    main()
except Skipped as why:
    print(why)
    sys.exit(77)
except Failed as why:
    print("failed:", why)
    sys.exit(1)
