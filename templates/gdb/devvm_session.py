# SPDX-License-Identifier: GPL-2.0-or-later
"""One gdb session: when it is attached to a guest, and the devvm commands in gdb.

gdb has no event "attached", but a stop comes with it. So each stop asks whether
the connection is one that was not seen yet.
"""

import os

import gdb

from devvm_kernel import GuestError, Kernel, LayoutError
from devvm_loader import Loader, quiet, say
from devvm_registry import Registry

# Step mask: no interrupts and no timers while stepping. It outlives a
# connection in QEMU, and others leave it as they like: set at each attach.
STEP_MASK = "Qqemu.sstep=0x7"


def _setting(name):
    """A setting from $devvm_NAME or DEVVM_NAME in the environment."""
    value = gdb.convenience_variable("devvm_" + name)
    try:
        text = value.string() if value is not None else ""
    except gdb.error:
        text = ""
    return text or os.environ.get("DEVVM_" + name.upper()) or None


class Session:
    def __init__(self):
        search = (_setting("search") or "").split("\n")
        self.follow = _setting("loader") != "off"
        self.loader = Loader(Registry(_setting("symbols"), search))
        self.connection = None
        self.attached_once = False

    def _connection(self):
        inferior = gdb.selected_inferior()
        if not inferior.is_valid() or not inferior.pid:
            return None
        number = getattr(inferior, "connection_num", 0)
        return None if number is None else (inferior.num, number)

    def on_stop(self, _event):
        try:
            self._after_stop()
        except (gdb.error, GuestError, LayoutError) as e:
            self.loader.complain(str(e))

    def _after_stop(self):
        connection = self._connection()
        if connection is None:
            return
        if connection != self.connection:
            self.connection = connection
            self._attach()
        elif self.loader.synced:
            self.loader.validate()
        elif self.loader.hooks:
            self.begin()

    def _attach(self):
        self._set_step_mask()
        if not self.follow:
            return
        self.loader.forget_all()
        self.loader.arm()
        try:
            if self.begin():
                return
        except LayoutError:
            self.loader.disarm()
            raise
        if gdb.newest_frame().pc() >= Kernel.lowest:
            self.loader.complain("the kernel is not at vmlinux's addresses: it needs 'nokaslr' on "
                                 "its command line")
        self.loader.begin_later()

    def _set_step_mask(self):
        connection = getattr(gdb.selected_inferior(), "connection", None)
        if connection and "remote" not in connection.type:
            return
        try:
            quiet("maintenance packet " + STEP_MASK)
        except gdb.error as e:
            self.loader.complain("cannot set the step mask: %s" % e)

    def begin(self):
        """loader.begin(), also when the CPU gdb is on has the kernel unmapped (user space)."""
        if self.loader.begin():
            return True
        here = gdb.selected_thread()
        try:
            for thread in gdb.selected_inferior().threads():
                if thread.ptid != here.ptid:
                    thread.switch()
                    if self.loader.begin():
                        return True
        finally:
            here.switch()
        return False

    def on_gone(self, *_event):
        """The guest or the connection has gone."""
        self.connection = None
        try:
            self.loader.forget_all()
        except gdb.error as e:
            self.loader.complain(str(e))

    def on_prompt(self):
        try:
            if self.connection is not None:
                self.loader.tidy()
        except (gdb.error, GuestError, LayoutError) as e:
            self.loader.complain(str(e))

    def on_breakpoint(self, bp):
        try:
            if self.connection is not None:
                self.loader.on_breakpoint(bp)
        except gdb.error as e:
            self.loader.complain(str(e))

    def connect_events(self):
        gdb.events.stop.connect(self.on_stop)
        gdb.events.exited.connect(self.on_gone)
        if hasattr(gdb.events, "connection_removed"):
            gdb.events.connection_removed.connect(self.on_gone)
        gdb.events.before_prompt.connect(self.on_prompt)
        gdb.events.breakpoint_created.connect(self.on_breakpoint)


session = None


class DevvmCommand(gdb.Command):
    """Symbols of the guest's modules, kept right by devvm."""

    def __init__(self):
        super().__init__("devvm", gdb.COMMAND_FILES, gdb.COMPLETE_NONE, True)


class SymbolsCommand(gdb.Command):
    """Read the guest's list of modules and load the symbols of each that has a file here.

Usage: devvm symbols

It is done by itself at attach and for each module that is inserted or removed;
this is for when gdb could not follow."""

    def __init__(self, session):
        super().__init__("devvm symbols", gdb.COMMAND_FILES, gdb.COMPLETE_NONE)
        self.session = session

    def invoke(self, _argument, _from_tty):
        loader = self.session.loader
        loader.forgive()
        if not self.session.follow:
            raise gdb.GdbError("devvm: this gdb was started with --lx-symbols: type 'lx-symbols'")
        if self.session.connection is None:
            raise gdb.GdbError("devvm: no guest: type 'target remote ADDRESS' first")
        try:
            if not loader.hooks:
                loader.arm()
            if not self.session.begin():
                raise gdb.GdbError("devvm: the kernel's memory is not readable where the guest "
                                   "stands now: continue, stop again, try again")
        except (LayoutError, GuestError) as e:
            raise gdb.GdbError("devvm: %s" % e)
        show(loader)


class ModulesCommand(gdb.Command):
    """Show the modules whose symbols gdb has, and the file of each.

Usage: devvm modules"""

    def __init__(self, session):
        super().__init__("devvm modules", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)
        self.session = session

    def invoke(self, _argument, _from_tty):
        show(self.session.loader)


class LxSymbolsCommand(gdb.Command):
    """devvm loads the symbols of modules: the kernel's own lx-symbols would only undo that.

`devvm gdb --lx-symbols` starts a gdb in which the kernel's own does it."""

    def __init__(self):
        super().__init__("lx-symbols", gdb.COMMAND_FILES)

    def invoke(self, _argument, _from_tty):
        raise gdb.GdbError("devvm: module symbols are loaded by devvm here: 'devvm modules' shows "
                           "them; `devvm gdb --lx-symbols` starts a gdb with the kernel's own loader")


def have_command(name):
    try:
        quiet("help " + name)
        return True
    except gdb.error:
        return False


def show(loader):
    if not loader.loaded:
        say("no module symbols are loaded")
    for one in loader.loaded.values():
        text = next((a for n, a, _s in one.sections if n == ".text"), None)
        say("%s  text %s  %s (by %s)"
            % (one.name, "%#x" % text if text else "none", one.path, one.proof))


def start():
    global session
    session = Session()
    session.connect_events()
    DevvmCommand()
    SymbolsCommand(session)
    ModulesCommand(session)
    if session.follow and have_command("lx-symbols"):
        LxSymbolsCommand()
    session.on_stop(None)
