# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own list of modules, read from the guest's memory.

Every structure is found by the types in vmlinux, since they move between
kernels. What differs, and is looked for here:

    struct module            core_layout/init_layout until 6.3, mem[] since 6.4
    mod->sect_attrs          until 5.7: attrs[] of {mattr, name, address}
                             5.8 to 6.13: attrs[] of {battr, address}
                             since 6.14: attrs[] of struct bin_attribute itself,
                             the address in .private, and no count: the group's
                             array of pointers ends with NULL

A guest may be anywhere when gdb stops it: before paging, in user space with
the kernel unmapped, or before the list has its first entry. So all reads are
bounded, and what cannot be read is GuestError or an empty list, never more.
"""

import struct

import gdb

from devvm_elf import ElfError, ElfFile, build_id_of_notes

MAX_MODULES = 4096
MAX_SECTIONS = 4096
MAX_NAME = 256
PAGE = 4096
BUILD_ID_NOTE = ".note.gnu.build-id"

STATES = ("MODULE_STATE_LIVE", "MODULE_STATE_COMING", "MODULE_STATE_GOING", "MODULE_STATE_UNFORMED")


class GuestError(Exception):
    """The guest's memory does not hold what was looked for."""


class LayoutError(Exception):
    """This kernel's types lack something; the text names it."""


class Module:
    """One inserted module: sections is {name: address}, in the kernel's order."""

    def __init__(self, address, name, state):
        self.address = address
        self.name = name
        self.state = state
        self.sections = {}
        self.build_id = None
        self.srcversion = None

    @property
    def coming(self):
        return self.state == "MODULE_STATE_COMING"


def _type(name):
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        return None


def _offset(kind, path):
    """(byte offset, type) of member PATH ("a.b.c") of KIND; None where there is none."""
    bits = 0
    for part in path.split("."):
        kind = kind.strip_typedefs()
        field = next((f for f in kind.fields() if f.name == part), None)
        if field is None:
            return None
        bits += field.bitpos
        kind = field.type
    return bits // 8, kind


class Kernel:
    """The layout of the module structures in this vmlinux, and reads by it."""

    lowest = 1 << 63  # where kernel addresses begin

    def __init__(self):
        self.order = ">" if "big endian" in gdb.execute("show endian", False, True) else "<"
        self._notes = self._vmlinux_notes()
        self.module = _type("struct module")
        if self.module is None:
            raise LayoutError("vmlinux has no type 'struct module': it lacks debug information")
        self.size = self.module.sizeof
        self._at = {}
        for member in ("state", "list", "name"):
            self._at[member] = self._need(self.module, "struct module", member)
        for member in ("srcversion", "sect_attrs", "percpu"):
            found = _offset(self.module, member)
            self._at[member] = found[0] if found else None
        self.head = self._symbol("modules")
        if self.head is None:
            raise LayoutError("vmlinux has no symbol 'modules': a kernel without modules?")
        self._states = self._read_states()
        self._sect_layout()

    # is it this kernel?

    def _vmlinux_notes(self):
        """(address, size, build id) of vmlinux's notes; None where it has none."""
        path = gdb.current_progspace().filename
        try:
            elf = ElfFile(path) if path else None
            data = elf.contents(".notes") if elf else None
        except (OSError, ElfError):
            return None
        start = self._symbol("__start_notes")
        build_id = build_id_of_notes(data, self.order) if data else None
        return (start, len(data), build_id) if start and build_id else None

    def running(self):
        """TRUE when the guest runs this vmlinux, at its addresses. GuestError when that is not
        to be seen (yet); LayoutError when it is another kernel."""
        if self._notes is None:
            return True
        start, size, build_id = self._notes
        found = build_id_of_notes(self.read(start, size), self.order)
        if found is None:
            raise GuestError("no kernel at vmlinux's addresses")
        if found != build_id:
            raise LayoutError("the guest runs kernel build %s, but %s is build %s: no module symbols; "
                              "give gdb the vmlinux of the guest's kernel"
                              % (found[:12], gdb.current_progspace().filename, build_id[:12]))
        return True

    # types

    @staticmethod
    def _need(kind, what, member):
        found = _offset(kind, member)
        if found is None:
            raise LayoutError("%s has no member '%s' in this kernel" % (what, member))
        return found[0]

    @staticmethod
    def _symbol(name):
        try:
            return int(gdb.parse_and_eval("(unsigned long)&%s" % name))
        except gdb.error:
            return None

    @staticmethod
    def _read_states():
        states = {}
        for number, name in enumerate(STATES):
            try:
                number = int(gdb.parse_and_eval(name))
            except gdb.error:
                pass
            states[number] = name
        return states

    def _sect_layout(self):
        """Find how one entry of mod->sect_attrs looks; self.no_sections says why not."""
        self.no_sections = None
        try:
            if self._at["sect_attrs"] is None:
                raise LayoutError("struct module has no member 'sect_attrs' in this kernel")
            whole = _type("struct module_sect_attrs")
            if whole is None:
                raise LayoutError("vmlinux has no type 'struct module_sect_attrs'")
            self._sect_array, array = _offset(whole, "attrs") or (None, None)
            if array is None:
                raise LayoutError("struct module_sect_attrs has no member 'attrs' in this kernel")
            entry = array.strip_typedefs().target()
            self._sect_entry = entry.sizeof
            self._sect_name = self._first(entry, "battr.attr.name", "name", "attr.name")
            self._sect_addr = self._first(entry, "address", "private")
            count = _offset(whole, "nsections")
            self._sect_count = count[0] if count else None
            if count is None:
                self._sect_group = self._first(whole, "grp.bin_attrs", "grp.bin_attrs_new")
        except LayoutError as e:
            self.no_sections = str(e)

    @staticmethod
    def _first(kind, *paths):
        for path in paths:
            found = _offset(kind, path)
            if found:
                return found[0]
        raise LayoutError("%s has none of: %s" % (kind, ", ".join(paths)))

    # reads

    @staticmethod
    def read(address, size):
        try:
            return bytes(gdb.selected_inferior().read_memory(address, size))
        except (gdb.error, OverflowError) as e:
            raise GuestError("cannot read %d bytes at %#x" % (size, address)) from e

    def word(self, data, offset):
        return struct.unpack_from(self.order + "Q", data, offset)[0]

    def int32(self, data, offset):
        return struct.unpack_from(self.order + "I", data, offset)[0]

    def string(self, address):
        """The C string at ADDRESS, without touching the page after its end."""
        text = b""
        while len(text) < MAX_NAME:
            step = min(64, PAGE - (address + len(text)) % PAGE)
            part = self.read(address + len(text), step)
            end = part.find(b"\0")
            if end >= 0:
                return (text + part[:end]).decode("ascii", "replace")
            text += part
        raise GuestError("no string at %#x" % address)

    # the list

    def addresses(self):
        """The address of every struct module; GuestError where the list is not there (yet)."""
        at = self._at["list"]
        found = []
        previous, entry = self.head, self.word(self.read(self.head, 16), 0)
        while entry != self.head:
            if entry < self.lowest or len(found) >= MAX_MODULES:
                raise GuestError("the list of modules is not set up")
            links = self.read(entry, 16)
            if self.word(links, 8) != previous:
                raise GuestError("the list of modules is not in order")
            found.append(entry - at)
            previous, entry = entry, self.word(links, 0)
        return found

    def module_at(self, address):
        """Name and state of the module at ADDRESS, without its sections."""
        data = self.read(address, self.size)
        at = self._at["name"]
        name = data[at : at + 64].split(b"\0")[0].decode("ascii", "replace")
        state = self._states.get(self.int32(data, self._at["state"]))
        if not name or state is None:
            raise GuestError("no module at %#x" % address)
        module = Module(address, name, state)
        module.data = data
        return module

    def fill(self, module):
        """Read the section addresses and the identity of MODULE."""
        if self.no_sections:
            raise LayoutError(self.no_sections)
        attrs = self.word(module.data, self._at["sect_attrs"])
        if not attrs:
            raise GuestError("%s: no symbols: the guest's kernel kept no section addresses "
                             "of it (/sys/module/%s/sections)" % (module.name, module.name))
        count = self._count(attrs)
        data = self.read(attrs + self._sect_array, count * self._sect_entry)
        for start in range(0, count * self._sect_entry, self._sect_entry):
            name = self.string(self.word(data, start + self._sect_name))
            module.sections.setdefault(name, self.word(data, start + self._sect_addr))
        self._identify(module)
        if self._at["percpu"] is not None and self.word(module.data, self._at["percpu"]):
            module.sections[".data..percpu"] = self.word(module.data, self._at["percpu"])

    def _count(self, attrs):
        if self._sect_count is not None:
            count = self.int32(self.read(attrs + self._sect_count, 4), 0)
        else:
            table = self.word(self.read(attrs + self._sect_group, 8), 0)
            count = 0
            while count < MAX_SECTIONS and self.word(self.read(table + 8 * count, 8), 0):
                count += 1
        if not 0 < count < MAX_SECTIONS:
            raise GuestError("%d sections at %#x" % (count, attrs))
        return count

    def _identify(self, module):
        note = module.sections.get(BUILD_ID_NOTE)
        if note:
            head = self.read(note, 12)
            name, desc = self.int32(head, 0), self.int32(head, 4)
            if name <= 16 and desc <= 64:
                size = 12 + ((name + 3) & ~3) + desc
                module.build_id = build_id_of_notes(self.read(note, size), self.order)
        at = self._at["srcversion"]
        pointer = self.word(module.data, at) if at is not None else 0
        if pointer:
            module.srcversion = self.string(pointer)
