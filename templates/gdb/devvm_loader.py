# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps gdb's symbols the same as the guest's modules, while the guest runs.

Theory of operation. Three breakpoints that nobody sees stand in the kernel:
where a module is about to run its init function, where it has run it (and its
init sections go), and where it is freed. Each does its work inside the stop,
in some 10 ms, and lets the guest go on: the user's step, finish or continue
does not notice. Only the module that changed is touched:
add-symbol-file with the address of every section, or remove-symbol-file.

Each symbol command makes gdb look up all breakpoints anew (20 ms for one by
file and line, with a distribution's vmlinux), and drops what a finish that is
under way may point to. So as few of them as possible: one for an insert, one
for a removal. The end of init only disables the breakpoints in init code, and
the addresses are put right when gdb is at its prompt, or when another module
comes to lie there.

Sections that do not exist in the guest (init text of a module that is up,
.modinfo) are parked at addresses that no CPU can form. gdb would otherwise
place them near 0. A breakpoint on a parked function must not be inserted: its
location is disabled, and enabled again when the module is next inserted.

What is wrong is said in one line that starts with "devvm: ", and once.
"""

import re
import time

import gdb

from devvm_kernel import GuestError, Kernel, LayoutError

# Not canonical on x86-64 with 4 or 5 levels, nor on arm64: nothing is ever there.
PARKING = 0x0DE0000000000000
PARKING_STEP = 1 << 32

INSERT_HOOKS = (("do_init_module", "mod"),)
LIVE_HOOKS = (("trim_init_extable", "m"), ("module_enable_ro", "mod"))
FREE_HOOKS = (("free_module", "mod"), ("module_arch_cleanup", "mod"))

READY_HOOK = "schedule"  # runs soon after a kernel is up, and whenever it is

FIRST_ARGUMENT = {"i386:x86-64": "rdi", "aarch64": "x0", "riscv:rv64": "a0", "s390:64-bit": "r2"}
PATCHABLE = ("nop", "endbr", "call", "bti", "data16")


def say(text):
    gdb.write("devvm: %s\n" % text)
    gdb.flush()


def quiet(command):
    return gdb.execute(command, False, True)


def quoted(path):
    return '"%s"' % path.replace("\\", "\\\\").replace('"', '\\"')


class Loaded:
    """A module whose symbols gdb has."""

    def __init__(self, module, match, sections, parked):
        self.address = module.address
        self.name = module.name
        self.build_id = module.build_id
        self.path = match.path
        self.proof = match.proof
        self.sections = sections  # [(name, address, size)], real ones only
        self.parked = parked  # [(start, end)], no memory behind them
        self.init = [(a, a + size) for n, a, size in sections if n.startswith(".init") and size]
        self.coming = module.coming

    def overlaps(self, ranges):
        mine = [(a, a + size) for _n, a, size in self.sections if size]
        return any(a < end and start < b for a, b in mine for start, end in ranges)

    def init_ends(self):
        """Init has run: its sections are as good as parked."""
        self.coming = False
        self.parked = self.parked + self.init

    @property
    def stale(self):
        """gdb still has init sections where there is nothing any more."""
        return bool(self.init) and not self.coming


class Hook(gdb.Breakpoint):
    """A silent breakpoint at ADDRESS, in a kernel function, that calls ACTION(its module)."""

    def __init__(self, address, argument, action, loader):
        super().__init__("*%#x" % address, gdb.BP_BREAKPOINT, internal=True)
        self.silent = True
        self.enabled = False
        self.argument = argument
        self.action = action
        self.loader = loader

    def _module(self):
        frame = gdb.newest_frame()
        register = FIRST_ARGUMENT.get(frame.architecture().name())
        try:
            value = frame.read_register(register) if register else frame.read_var(self.argument)
        except ValueError:
            raise GuestError("cannot read the argument of %s" % frame.name()) from None
        return int(value) & (1 << 64) - 1

    def stop(self):
        started = time.monotonic()
        try:
            self.action(self._module())
        except (gdb.error, GuestError, LayoutError) as e:
            self.loader.complain(str(e))
        except Exception as e:  # whatever it is, the guest must go on
            self.loader.complain("%s: %s" % (type(e).__name__, e))
        self.loader.times.append(time.monotonic() - started)
        return False


class ReadyHook(gdb.Breakpoint):
    """Hit once the kernel's memory is there. In hardware: before, nothing can be written."""

    def __init__(self, loader):
        kind = getattr(gdb, "BP_HARDWARE_BREAKPOINT", gdb.BP_BREAKPOINT)
        super().__init__(READY_HOOK, kind, internal=True)
        self.silent = True
        self.loader = loader

    def stop(self):
        try:
            if self.loader.begin():
                self.enabled = False
        except Exception as e:  # as in Hook.stop
            self.loader.complain(str(e))
            self.enabled = False
        return False


class Loader:
    def __init__(self, registry):
        self.registry = registry
        self.kernel = None
        self.loaded = {}  # address of struct module: Loaded
        self.hooks = []
        self.waiting_hook = None
        self.times = []
        self.waiting = set()  # (breakpoint's number, function) of locations that we disabled
        self.synced = False
        self._said = set()
        self._slot = 0

    def complain(self, text):
        if text not in self._said:
            self._said.add(text)
            say(text)

    def forgive(self):
        """Say again what was said."""
        self._said.clear()

    # start

    def arm(self):
        """Read the kernel's layout and set the hooks. LayoutError says what is missing."""
        self.disarm()
        self.kernel = Kernel()
        for what, choices, action in (
            ("inserted", INSERT_HOOKS, self.on_insert),
            ("up", LIVE_HOOKS, self.on_live),
            ("removed", FREE_HOOKS, self.on_free),
        ):
            if not self._hook(choices, action):
                names = ", ".join(name for name, _ in choices)
                self.complain("no %s in this vmlinux: modules are not followed when %s; "
                              "type 'devvm symbols' after that" % (names, what))

    def begin(self):
        """Load what is there, and follow; False when the kernel cannot be seen (yet)."""
        try:
            self.kernel.running()
        except GuestError:
            return False
        if not self.sync():
            return False
        for hook in self.hooks:
            hook.enabled = True
        return True

    def begin_later(self):
        """begin() as soon as the kernel can be seen."""
        if not self.waiting_hook:
            self.waiting_hook = ReadyHook(self)
        self.waiting_hook.enabled = True

    def _hook(self, choices, action):
        for function, argument in choices:
            address = self._entry_of(function)
            if address is not None:
                self.hooks.append(Hook(address, argument, action, self))
                return True
        return False

    @staticmethod
    def _entry_of(function):
        """Where a hook on the kernel's FUNCTION goes; its arguments are still in registers there.

        Not on the first instruction where that is ftrace's: the kernel rewrites it at will, and
        under KVM a breakpoint is a byte in the guest's memory."""
        symbol = gdb.lookup_global_symbol(function) or gdb.lookup_static_symbol(function)
        if symbol is None or symbol.type.code != gdb.TYPE_CODE_FUNC:
            return None
        entry = int(symbol.value().address)
        try:
            for insn in gdb.selected_inferior().architecture().disassemble(entry, count=2):
                if not insn["asm"].startswith(PATCHABLE):
                    return insn["addr"]
                entry = insn["addr"] + insn["length"]
            return entry
        except (gdb.error, AttributeError):
            return int(symbol.value().address)

    def disarm(self):
        for hook in self.hooks:
            if hook.is_valid():
                hook.delete()
        self.hooks = []
        if self.waiting_hook and self.waiting_hook.is_valid():
            self.waiting_hook.delete()
        self.waiting_hook = None

    # what the hooks call

    def on_insert(self, address):
        self.registry.reread()
        if self.registry.trouble:
            self.complain(self.registry.trouble)
        module = self.kernel.module_at(address)
        self.kernel.fill(module)
        self._add(module)

    def on_live(self, address):
        module = self.kernel.module_at(address)
        if module.coming:
            return
        old = self.loaded.get(address)
        if old is None:
            self.kernel.fill(module)
            self._add(module)
        elif old.coming:
            old.init_ends()
            self.park()

    def on_free(self, address):
        self._remove(address)

    # the work

    def _make_room(self, module, ranges):
        """Take away what gdb has where MODULE is to lie: old init code, or what a reset left."""
        for address, old in list(self.loaded.items()):
            if address == module.address or old.overlaps(ranges):
                self._remove(address)
                if address != module.address and address in self.kernel.addresses():
                    self._sync_one(address)

    def tidy(self):
        """Put right the addresses of init code that has gone."""
        for address, old in list(self.loaded.items()):
            if old.stale:
                self._remove(address)
                self._sync_one(address)

    def _add(self, module):
        match, other = self.registry.find(module)
        if match is None:
            if other:
                self._tell_mismatch(module, other)
            return False
        if not match.elf.has_debug_info:
            self.complain("%s: %s has no debug information" % (module.name, match.path))
        real, parked, command = self._place(module, match)
        self._make_room(module, [(a, a + size) for _n, a, size in real if size])
        self.forget_lookups()
        # An index is worth a file for vmlinux, not for each build of a module.
        quiet("set index-cache enabled off")
        quiet(command)
        self.loaded[module.address] = Loaded(module, match, real, parked)
        if match.proof == "section names":
            self.complain("%s: no build id in this module: %s is taken by its name"
                          % (module.name, match.path))
        self.forget_sources()
        self.wake()
        self.park()
        return True

    def _place(self, module, match):
        """Addresses for all sections of the file, and the command that tells gdb."""
        real, parked, words = [], [], []
        self._slot += 1
        spot = PARKING + self._slot * PARKING_STEP
        for section in match.elf.sections:
            if not section.alloc:
                continue
            address = module.sections.get(section.name)
            if address is not None and (module.coming or not section.name.startswith(".init")):
                real.append((section.name, address, section.size))
            else:
                align = max(section.align, 16)
                spot = (spot + align - 1) // align * align
                address = spot
                spot += section.size
                if section.size:
                    parked.append((address, spot))
            words.append("-s %s %#x" % (section.name, address))
        return real, parked, "add-symbol-file %s %s" % (quoted(match.path), " ".join(words))

    def _tell_mismatch(self, module, other):
        self.complain("%s: no symbols: the guest's module is build %s, %s is another; "
                      "type in a shell: devvm reload-module %s"
                      % (module.name, (module.build_id or "of unknown id")[:12], other, module.name))

    def _remove(self, address):
        old = self.loaded.pop(address, None)
        if old is None:
            return
        for start in [a for _n, a, size in old.sections if size] + [a for a, _e in old.parked]:
            try:
                quiet("remove-symbol-file -a %#x" % start)
                return
            except gdb.error:
                continue  # the user removed it, or nothing of it is in this section

    @staticmethod
    def forget_lookups():
        """gdb remembers that it did not find a symbol, and parses watchpoints and conditions
        with a new file before it forgets: they would find a variable without its type."""
        for command in ("maintenance flush symbol-cache", "maintenance flush-symbol-cache"):
            try:
                quiet(command)
                return
            except gdb.error:
                continue

    @staticmethod
    def forget_sources():
        """Make `list` read edited files anew."""
        try:
            quiet("maintenance flush source-cache")
        except gdb.error:
            folders = gdb.parameter("directories")
            quiet("set directories %s" % folders)

    # breakpoints in init code that is not there

    def _locations(self):
        for bp in gdb.breakpoints():
            if not bp.is_valid():
                continue
            for loc in getattr(bp, "locations", None) or ():
                yield bp, loc

    def _parked(self, address):
        return any(s <= address < e for m in self.loaded.values() for s, e in m.parked)

    def park(self):
        """Disable the breakpoints in code that is not there; the numbers of those."""
        numbers = set()
        for bp, loc in self._locations():
            if loc.enabled and self._parked(loc.address):
                loc.enabled = False
                self.waiting.add((bp.number, loc.function))
                numbers.add(bp.number)
        return numbers

    def wake(self):
        """Enable those whose code is there again."""
        for bp, loc in self._locations():
            key = (bp.number, loc.function)
            if key in self.waiting and not self._parked(loc.address):
                loc.enabled = True
                self.waiting.discard(key)

    def on_breakpoint(self, _bp):
        """The user made a breakpoint."""
        for number in self.park():
            say("breakpoint %d is in init code that has run: it waits for the next insert" % number)

    # all at once

    def sync(self):
        """Make the symbols right for all modules. False where the kernel's list is not readable."""
        try:
            addresses = self.kernel.addresses()
        except GuestError:
            self.synced = False
            return False
        self.registry.reread()
        if self.registry.trouble:
            self.complain(self.registry.trouble)
        for address in list(self.loaded):
            if address not in addresses:
                self._remove(address)
        for address in addresses:
            try:
                self._sync_one(address)
            except GuestError as e:
                self.complain(str(e))
        self.synced = True
        return True

    def _sync_one(self, address):
        module = self.kernel.module_at(address)
        if module.state == "MODULE_STATE_UNFORMED":
            return
        try:
            self.kernel.fill(module)
        except GuestError:
            if self.registry.knows(module.name):
                raise
            return  # none of the project's: nobody asked for its symbols
        old = self.loaded.get(address)
        if old:
            same = old.build_id == module.build_id and old.name == module.name
            if same and old.coming == module.coming and not old.stale:
                return
        self._add(module)

    def validate(self):
        """Drop modules that are no longer there: after a reset the hooks have not seen it."""
        if not self.loaded:
            return
        try:
            self.kernel.running()
        except GuestError:
            return  # in user space with the kernel unmapped, or in early boot: not to be seen
        for address, old in list(self.loaded.items()):
            try:
                if self.kernel.module_at(address).name == old.name:
                    continue
            except GuestError:
                pass
            self._remove(address)

    def forget_all(self):
        for address in list(self.loaded):
            self._remove(address)
        self.synced = False
