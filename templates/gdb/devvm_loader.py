# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps gdb's symbols the same as the guest's modules, while the guest runs.

Theory of operation. Three breakpoints that nobody sees stand in the kernel:
where a module is about to run its init function, where it has run it (and its
init sections go), and where it is freed. Each does its work inside the stop,
in some 10 ms, and lets the guest go on: the user's step, finish or continue
does not notice. Only the module that changed is touched:
add-symbol-file with the address of every section, or remove-symbol-file.

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

FIRST_ARGUMENT = {"i386:x86-64": "$rdi", "aarch64": "$x0", "riscv:rv64": "$a0", "s390:64-bit": "$r2"}


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
        self.parked = parked  # [(start, end)]
        self.with_init = module.coming

    def holds(self, address):
        return any(a <= address < a + size for _n, a, size in self.sections)

    def init_holds(self, address):
        return any(
            a <= address < a + size for n, a, size in self.sections if n.startswith(".init")
        )


class Hook(gdb.Breakpoint):
    """A silent breakpoint at ADDRESS, in a kernel function, that calls ACTION(its module)."""

    def __init__(self, address, argument, action, loader):
        super().__init__("*%#x" % address, gdb.BP_BREAKPOINT, internal=True)
        self.silent = True
        self.argument = argument
        self.action = action
        self.loader = loader

    def _module(self):
        frame = gdb.newest_frame()
        try:
            return int(frame.read_var(self.argument))
        except (gdb.error, ValueError):
            register = FIRST_ARGUMENT.get(frame.architecture().name())
            if register is None:
                raise GuestError("cannot read the argument of %s" % frame.name()) from None
            return int(gdb.parse_and_eval(register)) & (1 << 64) - 1

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


class Loader:
    def __init__(self, registry):
        self.registry = registry
        self.kernel = None
        self.loaded = {}  # address of struct module: Loaded
        self.hooks = []
        self.times = []
        self.waiting = set()  # numbers of breakpoints with locations that we disabled
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

    def _hook(self, choices, action):
        for function, argument in choices:
            for address in self._addresses_of(function):
                self.hooks.append(Hook(address, argument, action, self))
                return True
        return False

    @staticmethod
    def _addresses_of(function):
        """Where a breakpoint on the kernel's FUNCTION goes."""
        symbol = gdb.lookup_global_symbol(function) or gdb.lookup_static_symbol(function)
        if symbol is None or symbol.type.code != gdb.TYPE_CODE_FUNC:
            return
        try:
            _rest, sals = gdb.decode_line(function)
        except gdb.error:
            return
        for sal in sals or ():
            if sal.symtab and sal.symtab.filename == symbol.symtab.filename:
                yield sal.pc

    def disarm(self):
        for hook in self.hooks:
            if hook.is_valid():
                hook.delete()
        self.hooks = []

    # what the hooks call

    def on_insert(self, address):
        self.registry.reread()
        if self.registry.trouble:
            self.complain(self.registry.trouble)
        module = self.kernel.module_at(address)
        self.kernel.fill(module)
        self._drop_overlaps(module)
        self._add(module)

    def on_live(self, address):
        module = self.kernel.module_at(address)
        if module.coming:
            return
        old = self.loaded.get(address)
        if old and not old.with_init:
            return
        self.kernel.fill(module)
        if old and not any(n.startswith(".init") for n, _a, _s in old.sections):
            old.with_init = False
            return
        self._remove(address)
        self._add(module)

    def on_free(self, address):
        self._remove(address)

    # the work

    def _drop_overlaps(self, module):
        """Forget what stood where MODULE stands: a reset or a missed removal left it."""
        starts = list(module.sections.values())
        for address, old in list(self.loaded.items()):
            if address == module.address or any(old.holds(a) for a in starts):
                self._remove(address)

    def _add(self, module):
        match, other = self.registry.find(module)
        if match is None:
            if other:
                self._tell_mismatch(module, other)
            return False
        if not match.elf.has_debug_info:
            self.complain("%s: %s has no debug information" % (module.name, match.path))
        real, parked, command = self._place(module, match)
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
            for number, loc in enumerate(getattr(bp, "locations", None) or (), 1):
                yield bp, number, loc

    def _parked(self, address):
        return any(s <= address < e for m in self.loaded.values() for s, e in m.parked)

    def park(self):
        for bp, _number, loc in self._locations():
            if loc.enabled and self._parked(loc.address):
                loc.enabled = False
                self.waiting.add(bp.number)

    def wake(self):
        for bp, _number, loc in self._locations():
            if bp.number in self.waiting and not loc.enabled:
                if any(m.init_holds(loc.address) for m in self.loaded.values()):
                    loc.enabled = True

    def on_breakpoint(self, bp):
        """A breakpoint of the user's that is new or changed."""
        before = bp.number in self.waiting
        self.park()
        if bp.number in self.waiting and not before:
            say("breakpoint %d is in init code that has run: it waits for the next insert"
                % bp.number)

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
        self.kernel.fill(module)
        old = self.loaded.get(address)
        if old:
            same = old.build_id == module.build_id and old.name == module.name
            if same and old.with_init == module.coming:
                return
            self._remove(address)
        self._drop_overlaps(module)
        self._add(module)

    def validate(self):
        """Drop modules that are no longer there: after a reset the hooks have not seen it."""
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
