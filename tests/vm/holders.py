#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# deadline: 400
"""A module in the middle of others: its holders go and come with it, or it stays where it is.

top uses middle, middle uses base; one folder makes all three.
"""
import os

from harness import Scenario, expect, expect_in

SOURCE = """#include <linux/module.h>
{uses}
int {name}_value(void);
int {name}_value(void) {{ return {number} + {call}; }}
EXPORT_SYMBOL_GPL({name}_value);
static int number;
module_param(number, int, 0444);
static int __init {name}_start(void) {{ number = {name}_value(); {init} return 0; }}
static void __exit {name}_stop(void) {{ }}
module_init({name}_start);
module_exit({name}_stop);
MODULE_LICENSE("GPL");
"""
BELOW = {"dv_base": None, "dv_middle": "dv_base", "dv_top": "dv_middle"}


def write(tree, name, number, init=""):
    below = BELOW[name]
    with open(os.path.join(tree, name + ".c"), "w") as f:
        f.write(SOURCE.format(name=name, number=number, init=init,
                              uses=f"int {below}_value(void);" if below else "",
                              call=f"{below}_value()" if below else "0"))


def value(s, vm, name):
    return s.guest(vm, f"cat /sys/module/{name}/parameters/number").out.strip()


def loaded(s, vm):
    modules = s.guest(vm, "cat /proc/modules").out
    return [name for name in BELOW if any(x.startswith(name + " ") for x in modules.splitlines())]


def check_first_load(s, vm):
    """What the module needs is loaded with it, from the same build."""
    s.devvm("reload-module", "dv_top")
    expect(loaded(s, vm) == list(BELOW), "all three are in")
    expect(value(s, vm, "dv_top") == "111", "each with its own part of the sum")


def check_middle(s, vm, tree):
    write(tree, "dv_middle", 20)
    done = s.devvm("reload-module", "--holders=no", "dv_middle", status=6)
    expect_in("dv_top", done.err, "the holder is named")
    expect(value(s, vm, "dv_top") == "111", "nothing was unloaded")
    done = s.devvm("reload-module", "--json", "dv_middle")
    expect(done.json()["unloaded"] == ["dv_top", "dv_middle"], "holders go first")
    expect(done.json()["loaded"] == ["dv_middle", "dv_top"], "and come last")
    expect(value(s, vm, "dv_top") == "121", "the holder works with the new one")


def check_failure_brings_holders_back(s, vm, tree):
    """Their names survive a reload that failed, until one works."""
    write(tree, "dv_middle", 30, init="return -EIO;")
    s.devvm("reload-module", "dv_middle", status=1)
    expect(loaded(s, vm) == ["dv_base"], "the module and its holder are out")
    write(tree, "dv_middle", 30)
    s.devvm("reload-module", "dv_middle")
    expect(value(s, vm, "dv_top") == "131", "all are back")


def check_unload(s, vm):
    done = s.devvm("unload-module", "dv_base", status=6)
    expect_in("dv_middle", done.err, "the holder is named")
    s.devvm("unload-module", "--holders=yes", "dv_base")
    expect(not loaded(s, vm), "all are out")
    s.devvm("unload-module", "dv_base", status=4)


with Scenario(__file__) as s:
    s.work = tree = s.tree("three")
    for number, name in zip((1, 10, 100), BELOW):
        write(tree, name, number)
    with open(os.path.join(tree, "Kbuild"), "w") as f:
        f.write("obj-m := " + " ".join(name + ".o" for name in BELOW) + "\n")
    vm = s.new_vm()
    s.devvm("up", vm)
    check_first_load(s, vm)
    check_middle(s, vm, tree)
    check_failure_brings_holders_back(s, vm, tree)
    check_unload(s, vm)
