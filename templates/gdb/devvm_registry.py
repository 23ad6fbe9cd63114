# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file on the host is the module that the guest has inserted.

No gdb in here. Two sources, in this order: the VM's symbols.json, which
`devvm reload-module` replaces atomically before it inserts a module, and the
folders that it lists under "search" (trees, installed debug files). A file is
only ever taken when its build id (or, without one, its srcversion) is the one
of the module in the guest: no symbols are better than wrong ones.

symbols.json:
    {"modules": {"NAME": {"ko": "/abs/NAME.ko", "build_id": "hex"|null,
                          "srcversion": "hex"|null}},
     "search": ["/tree", ...],
     "cache": "/folder for copies"}                             (optional)

A .ko inside a tree may be rewritten by make at any moment, so gdb never reads
it there: it is copied under a name made of its build id first.
"""

import json
import os
import shutil
import tempfile
import time

from devvm_elf import ElfError, ElfFile

RESCAN_AFTER = 2.0  # seconds between two walks over the search folders
MAX_JSON = 16 << 20


class Match:
    """A file for a module: path, elf, and what proves it ("build id", ...)."""

    def __init__(self, path, elf, proof):
        self.path = path
        self.elf = elf
        self.proof = proof


def plain_name(name):
    """modprobe's view of a module name: '-' and '_' are the same."""
    return name.replace("-", "_")


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "devvm", "ko")


class Registry:
    def __init__(self, path=None, search=()):
        self.path = path
        self.fixed_search = [d for d in search if d]
        self.modules = {}
        self.search = list(self.fixed_search)
        self.cache = default_cache()
        self._index = None
        self._indexed_search = None
        self._index_time = 0.0
        self._elves = {}
        self.trouble = None

    # symbols.json

    def reread(self):
        """Take symbols.json anew; what is wrong with it goes to self.trouble."""
        self.trouble = None
        if not self.path:
            return
        try:
            with open(self.path, "r", encoding="utf-8") as f:
                doc = json.loads(f.read(MAX_JSON))
            if not isinstance(doc, dict):
                raise ValueError("not an object")
            self._take(doc)
        except FileNotFoundError:
            self.modules = {}
        except (OSError, ValueError) as e:
            self.trouble = "cannot read %s: %s" % (self.path, e)

    def _take(self, doc):
        modules = doc.get("modules", {})
        search = doc.get("search", [])
        if not isinstance(modules, dict) or not isinstance(search, list):
            raise ValueError('"modules" must be an object and "search" a list')
        self.modules = {
            plain_name(name): row
            for name, row in modules.items()
            if isinstance(row, dict) and isinstance(row.get("ko"), str)
        }
        extra = [d for d in search if isinstance(d, str) and os.path.isabs(d)]
        self.search = list(dict.fromkeys(extra + self.fixed_search))
        if isinstance(doc.get("cache"), str):
            self.cache = doc["cache"]

    # the search folders

    def _scan(self):
        index = {}
        for top in self.search:
            for folder, dirs, files in os.walk(top):
                dirs[:] = [d for d in dirs if not d.startswith(".")]
                for name in files:
                    if name.endswith((".ko", ".ko.debug")):
                        key = plain_name(name.split(".ko")[0])
                        index.setdefault(key, []).append(os.path.join(folder, name))
        self._index = index
        self._indexed_search = list(self.search)
        self._index_time = time.monotonic()

    def _candidates(self, name, rescan):
        stale = self._index is None or self._indexed_search != self.search
        if stale or (rescan and time.monotonic() - self._index_time > RESCAN_AFTER):
            self._scan()
        return self._index.get(name, [])

    def knows(self, name):
        """TRUE when the host has a file for a module of that name, of whatever build."""
        name = plain_name(name)
        return name in self.modules or bool(self._candidates(name, False))

    def _by_build_id(self, name, build_id):
        if not build_id:
            return
        yield os.path.join(self.cache, "%s-%s.ko" % (name, build_id))
        for top in self.search + ["/usr/lib/debug"]:
            yield os.path.join(top, ".build-id", build_id[:2], build_id[2:] + ".debug")

    # matching

    def _elf(self, path):
        """The ElfFile of PATH, kept as long as the file is the same; None when unusable."""
        try:
            st = os.stat(path)
            key = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns)
            old = self._elves.get(path)
            if old and old[0] == key:
                return old[1]
            elf = ElfFile(path)
            elf.id = elf.build_id
            self._elves[path] = (key, elf)
            return elf
        except (OSError, ElfError):
            return None

    @staticmethod
    def _proof(elf, module):
        """Why ELF is the file of MODULE, or None when it is another build."""
        if module.build_id or elf.id:
            return "build id" if module.build_id == elf.id else None
        if module.srcversion:
            return "srcversion" if module.srcversion == elf.modinfo("srcversion") else None
        names = {s.name for s in elf.sections if s.alloc and s.size}
        return "section names" if set(module.sections) <= names else None

    def find(self, module):
        """(Match, None), or (None, path of a file of another build), or (None, None).

        MODULE has name, build_id, srcversion (or None each) and sections.
        """
        name = plain_name(module.name)
        other = None
        row = self.modules.get(name)
        paths = [row["ko"]] if row else []
        for source in (paths, self._by_build_id(name, module.build_id)):
            for path in source:
                elf = self._elf(path)
                proof = elf and self._proof(elf, module)
                if proof:
                    return self._settle(path, elf, proof, name), None
                other = other or (path if elf else None)
        for rescan in (False, True):
            for path in self._candidates(name, rescan):
                elf = self._elf(path)
                proof = elf and self._proof(elf, module)
                if proof and elf.has_debug_info:
                    return self._settle(path, elf, proof, name), None
                if elf and not proof:
                    other = other or path
        return None, other

    def _settle(self, path, elf, proof, name):
        """Where gdb may read the file in peace: PATH itself if it is immutable, or a copy."""
        if not elf.id or elf.id in path or not self._in_flux(path):
            return Match(path, elf, proof)
        copy = os.path.join(self.cache, "%s-%s.ko" % (name, elf.id))
        try:
            if not self._elf(copy):
                self._copy(path, copy)
            elif os.stat(copy).st_mtime < os.stat(path).st_mtime:
                # The same build made again. gdb compares the age with the source's.
                shutil.copystat(path, copy)
        except OSError:
            return Match(path, elf, proof)
        kept = self._elf(copy)
        if kept and kept.id == elf.id:
            return Match(copy, kept, proof)
        return Match(path, elf, proof)

    def _in_flux(self, path):
        """Installed files are not rewritten under us; those of a tree are."""
        return not path.startswith(("/usr/lib/", "/lib/")) or os.access(path, os.W_OK)

    def _copy(self, path, copy):
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        fd, temp = tempfile.mkstemp(dir=self.cache, prefix=".copy-")
        try:
            with os.fdopen(fd, "wb") as out, open(path, "rb") as f:
                shutil.copyfileobj(f, out, 1 << 20)
            shutil.copystat(path, temp)
            os.replace(temp, copy)
        except BaseException:
            os.unlink(temp)
            raise
