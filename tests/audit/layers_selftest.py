#!/usr/bin/env python3
"""layers_selftest.py: proves that the audit can fail. Each kind of breach is planted in a copy of the tree, one at a
time, and must be caught at its file and line, by its rule; the copy without it must be as clean as the tree."""
import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

from layers import Audit

ROOT = Path(__file__).resolve().parents[2]


def append(file, text):
    def plant(tree):
        path = tree / file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if path.exists() else ""
        path.write_text(before + text + "\n")
        return f"{file}:{before.count(chr(10)) + 1}"
    return plant


def replace(file, old, new):
    def plant(tree):
        path = tree / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}: adapt the self-test"
        path.write_text(text.replace(old, new))
        return f"{file}:{text[:text.index(old)].count(chr(10)) + 1}"
    return plant


def anywhere(plant, where):
    """The breach is reported at `where`, not at the planted line."""
    def planted(tree):
        plant(tree)
        return where
    return planted


# what is planted, a word of the rule that must catch it
BREACHES = {
    "an agent includes the ring": (append("plc-agent/poller.c", '#include "ring_reader.h"'), "may not see common/shm/reader"),
    "an agent includes a segment": (append("plc-agent/poller.c", '#include "segment.h"'), "may not see common/shm/layout"),
    "a worker includes the writer": (append("workers/acceptor/fanout/mirror.c", '#include "lvt_writer.h"'), "common/shm/writer"),
    "the broker includes a worker": (append("broker/registry.c", '#include "mirror.h"'), "may not see workers/acceptor"),
    "a worker includes the broker": (append("workers/acceptor/fanout/mirror.c", '#include "registry.h"'), "may not see broker"),
    "an agent includes the broker": (append("plc-agent/poller.c", '#include "registry.h"'), "may not see broker"),
    "common includes a process": (append("common/base/clock.c", '#include "registry.h"'), "may not see broker"),
    "base includes a higher layer": (append("common/base/clock.c", '#include "machine.h"'), "may not see common/model"),
    "a driver includes the poller": (append("plc-agent/drivers/carousel/carousel_codec.c", '#include "poller.h"'), "may see only"),
    "a dialect includes the outbox": (append("workers/acceptor/dialects/carousel/carousel.c", '#include "outbox.h"'),
                                      "may see only"),
    "the launcher reads the ring": (append("deploy/noria/up.c", '#include "ring_reader.h"'), "module eyes alone may see common/shm/reader"),
    "the launcher reads the bus": (append("deploy/noria/up.c", '#include "wire.h"'), "module rearm alone may see common/wire"),
    "the launcher is linked with the bus": (replace("deploy/noria/CMakeLists.txt", "noria_module(launcher SOURCES",
                                                    "noria_module(launcher DEPS bus SOURCES"), "rearm alone may"),
    "the broker reads an agent's journal": (append("broker/registry.c", '#include "journal_record.h"'), "may not see common/journal"),
    "wire knows shared memory": (append("common/wire/wire.c", '#include "record.h"'), "may not see common/shm/layout"),
    "libevent outside loop": (append("broker/registry.c", "#include <event2/event.h>"), "belongs to common/loop alone"),
    "ZeroMQ outside bus": (append("plc-agent/poller.c", "#include <zmq.h>"), "belongs to common/bus alone"),
    "msgpack outside wire": (append("broker/registry.c", "#include <msgpack.h>"), "<msgpack.h> belongs to common/wire"),
    "libwebsockets outside ws": (append("workers/acceptor/fanout/mirror.c", "#include <libwebsockets.h>"), "ws alone"),
    "libuv outside gate, ws and worker": (append("common/loop/loop.c", "#include <uv.h>"), "belongs to workers/acceptor/gate"),
    "libcyaml outside conf": (append("broker/registry.c", "#include <cyaml/cyaml.h>"), "belongs to common/conf alone"),
    "JSON outside the codecs": (append("broker/registry.c", "#include <jansson.h>"), "<jansson.h> belongs to common/conf, common/journal, common/schema, workers/acceptor"),
    "mman outside shm": (append("broker/registry.c", "#include <sys/mman.h>"), "belongs to common/shm/layout, common/proc alone"),
    "a library nobody chose": (append("broker/registry.c", "#include <curl/curl.h>"), "a third party that no layer names"),
    "mmap without its header": (append("broker/registry.c", "void *f(void) { return mmap (0, 1, 1, 1, 1, 0); }"), "common/shm, common/proc alone"),
    "an include by path": (append("broker/registry.c", '#include "../common/base/log.h"'), "no header of this tree"),
    "a file name used twice": (anywhere(append("broker/clock.c", "/* twice */"), "common/base/clock.c:1"), "elsewhere too"),
    "a folder in no layer": (append("common/misc/misc.c", "/* misc */"), "stands in no layer"),
    "a demo machine in C": (append("broker/registry.c", 'const char *id = "machine_1";'), "a machine of the demo"),
    "a source that is not built": (append("broker/forgotten.c", "/* forgotten */"), "stands in no CMakeLists.txt"),
    "a hop that does not exist": (replace("common/shm/reader/ring_reader.h", "Hop: D8", "Hop: D18"), "there is no hop D18"),
    "a hop at the wrong place": (replace("common/shm/reader/ring_reader.h", "Hop: D8", "Hop: C6"), "hop C6 happens in"),
    "a hop that nobody tells": (anywhere(lambda tree: untell(tree, "D9"), "workers/acceptor:1"), 'says "Hop: D9"'),
    "DEPS that break a layer": (replace("common/wire/CMakeLists.txt", "DEPS base", "DEPS base loop"), "may not depend on loop"),
    "a library linked elsewhere": (replace("common/model/CMakeLists.txt", "DEPS base", "DEPS base PkgConfig::ZMQ"),
                                   "may not link PkgConfig::ZMQ"),
}


def untell(tree, hop):
    for path in list(tree.rglob("*.c")) + list(tree.rglob("*.h")):
        path.write_text(path.read_text().replace(hop, "D8"))


def copy_of_tree(into):
    for path in ROOT.rglob("*"):
        relative = path.relative_to(ROOT)
        if relative.parts[0] in ("build", ".git") or relative.parts[0].startswith("build-"):
            continue
        if path.suffix in (".c", ".h") or path.name == "CMakeLists.txt":
            (into / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / relative)


def clean_tree():
    """A copy of the tree, and the breaches it has already (none, one hopes)."""
    clean = Path(tempfile.mkdtemp(prefix="noria-layers-"))
    copy_of_tree(clean)
    return clean, set(Audit(clean).run())


def caught(job):
    """Plants one breach in a copy of its own; what the audit says of it."""
    name, clean, before = job
    plant, rule = BREACHES[name]
    with tempfile.TemporaryDirectory(prefix="noria-layers-") as scratch:
        tree = Path(scratch) / "planted"
        shutil.copytree(clean, tree)
        where = plant(tree)
        found = [b for b in set(Audit(tree).run()) - before if b.startswith(where + ":") and rule in b]
    return (True, found[0]) if found else (False, f"not caught at {where}")


def main():
    clean, before = clean_tree()
    with multiprocessing.Pool() as pool:
        results = pool.map(caught, [(name, clean, before) for name in BREACHES])
    shutil.rmtree(clean)
    for name, (ok, text) in zip(BREACHES, results):
        print(f"{'ok  ' if ok else 'FAIL'} {name}: {text}")
    failed = sum(1 for ok, _ in results if not ok)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
