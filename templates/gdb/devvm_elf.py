# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel module's file says of itself: sections, build id, modinfo.

No gdb in here. Everything that is not a plain relocatable ELF file with intact
tables is refused with ElfError: a .ko that make is just writing looks like that.
"""

import struct

SHF_ALLOC = 0x2
SHT_NOBITS = 8
NT_GNU_BUILD_ID = 3
MAX_SECTIONS = 200000
MAX_STRTAB = 64 << 20


class ElfError(Exception):
    """The file is not a whole ELF file."""


class Section:
    __slots__ = ("name", "type", "flags", "offset", "size", "align")

    def __init__(self, name, sh_type, flags, offset, size, align):
        self.name = name
        self.type = sh_type
        self.flags = flags
        self.offset = offset
        self.size = size
        self.align = align

    @property
    def alloc(self):
        return bool(self.flags & SHF_ALLOC)


def build_id_of_notes(data, order="<"):
    """The GNU build id in a block of ELF notes, in hex; None where there is none."""
    pos = 0
    while pos + 12 <= len(data):
        namesz, descsz, kind = struct.unpack_from(order + "III", data, pos)
        name_end = pos + 12 + namesz
        desc = pos + 12 + ((namesz + 3) & ~3)
        if name_end > len(data) or desc + descsz > len(data):
            return None
        if kind == NT_GNU_BUILD_ID and data[pos + 12 : name_end] == b"GNU\0" and descsz:
            return data[desc : desc + descsz].hex()
        pos = desc + ((descsz + 3) & ~3)
    return None


def _cstr(table, offset):
    if offset >= len(table):
        raise ElfError("a section's name lies outside of the name table")
    end = table.find(b"\0", offset)
    if end < 0:
        raise ElfError("a section's name does not end")
    return table[offset:end].decode("ascii", "replace")


class ElfFile:
    """The section table of PATH, read once; contents are read when asked for."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self._read_table(f)

    def _read_table(self, f):
        ident = f.read(64)
        if len(ident) < 64 or ident[:4] != b"\x7fELF":
            raise ElfError("not an ELF file")
        if ident[4] != 2 or ident[5] not in (1, 2):
            raise ElfError("not a 64-bit ELF file")
        self.order = "<" if ident[5] == 1 else ">"
        shoff = struct.unpack_from(self.order + "Q", ident, 40)[0]
        entsize, count, strndx = struct.unpack_from(self.order + "HHH", ident, 58)
        f.seek(0, 2)
        self.size = f.tell()
        if not shoff or entsize != 64 or not 0 < count < MAX_SECTIONS or strndx >= count:
            raise ElfError("no section table")
        if shoff + 64 * count > self.size:
            raise ElfError("cut off")
        f.seek(shoff)
        table = f.read(64 * count)
        if len(table) != 64 * count:
            raise ElfError("cut off")
        rows = list(struct.iter_unpack(self.order + "IIQQQQIIQQ", table))
        if rows[strndx][5] > MAX_STRTAB:
            raise ElfError("a name table of %d bytes" % rows[strndx][5])
        names = self._bytes(f, rows[strndx][4], rows[strndx][5])
        self.sections = []
        for name, kind, flags, _addr, off, size, _link, _info, align, _ent in rows[1:]:
            if kind != SHT_NOBITS and off + size > self.size:
                raise ElfError("cut off")
            self.sections.append(Section(_cstr(names, name), kind, flags, off, size, align))

    def _bytes(self, f, offset, size):
        f.seek(offset)
        data = f.read(size)
        if len(data) != size:
            raise ElfError("cut off")
        return data

    def section(self, name):
        return next((s for s in self.sections if s.name == name), None)

    def contents(self, name):
        """The bytes of section NAME; None where the file has none of that name."""
        s = self.section(name)
        if s is None or s.type == SHT_NOBITS or s.size > MAX_STRTAB:
            return None
        with open(self.path, "rb") as f:
            return self._bytes(f, s.offset, s.size)

    @property
    def build_id(self):
        for name in (".note.gnu.build-id", ".notes"):
            data = self.contents(name)
            found = build_id_of_notes(data, self.order) if data else None
            if found:
                return found
        return None

    @property
    def has_debug_info(self):
        return any(s.name in (".debug_info", ".zdebug_info") for s in self.sections)

    def modinfo(self, key):
        """The first value of KEY in .modinfo, or None."""
        data = self.contents(".modinfo") or b""
        want = key.encode() + b"="
        for item in data.split(b"\0"):
            if item.startswith(want):
                return item[len(want) :].decode("utf-8", "replace")
        return None
