#!/usr/bin/env python3
"""symbols.py: what the linker says of the borders between processes, and of the libraries on the hot path.

    tests/audit/symbols.py BUILD     BUILD is a Ninja build without LTO (asan), so that nothing is inlined away

1. Defined symbols: workers have no writer of shared memory, agents and the simulator have no shared memory at all, and
   the broker no ring it does not need. A positive control (the broker does have the writer) shows that the test sees.
2. Each program of the hot path is linked again without one of its libraries, and that link must fail with undefined
   references: the library does the work, and nobody wrote it anew.
"""
import re
import subprocess
import sys
from pathlib import Path

ABSENT = {  # program → symbols it must not define
    "noria-worker": r"^(ring_writer|lvt_writer|bell_open|bell_ring$|broker_|db_(open|begin|execute)$)",
    "noria-store": r"^(ring_writer|lvt_writer|bell_|bus_router|broker_|ws_(new|adopt|conn|close)|gate_|outbox_)",
    "plc-agent": r"^(ring_(reader|writer|page)|lvt_|segment_|bell_|shm_)",
    "plc-sim": r"^(ring_(reader|writer|page)|lvt_|segment_|bell_|shm_|wire_|bus_|link_)",
    "noria": r"^(ring_writer|lvt_writer|bell_|bus_router)",
    "noria-broker": r"^(ws_(new|adopt|conn|close)|gate_|audience_|outbox_|poller_|sim_)",
}
PRESENT = {  # the positive controls
    "noria-worker": ["ring_reader_next", "lvt_reader_get"],
    "noria-store": ["ring_reader_next", "lvt_reader_get", "db_execute", "link_open"],
    "plc-agent": ["poller_", "link_"],
    "plc-sim": ["sim_machine_"],
    "noria": ["segment_view_open", "link_open"],
    "noria-broker": ["ring_writer_append", "lvt_writer_put", "bell_ring"],
}
NEEDED = {  # program → library in its link line
    "noria-worker": ["libwebsockets", "libuv", "libzmq", "libmsgpackc", "libjansson", "libcyaml"],
    "noria-broker": ["libevent_core", "libzmq", "libmsgpackc", "libcyaml"],
    "noria-store": ["libsqlite3", "libevent_core", "libzmq", "libmsgpackc", "libcyaml"],
    "plc-agent": ["libevent_core", "libzmq", "libmsgpackc", "libcyaml"],
}


def defined_symbols(program):
    listed = subprocess.run(["nm", "--defined-only", str(program)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in listed.splitlines() if line.split()[-2:-1][0].lower() in "tdbr"}


def check_symbols(build):
    for name, pattern in ABSENT.items():
        symbols = defined_symbols(build / "bin" / name)
        forbidden = sorted(s for s in symbols if re.match(pattern, s))
        yield not forbidden, f"{name} defines none of {pattern}" + (f", but has {forbidden[:8]}" if forbidden else "")
        for wanted in PRESENT[name]:
            yield any(s.startswith(wanted) for s in symbols), f"{name} does define {wanted} (positive control)"


def link_command(build, name):
    commands = subprocess.run(["ninja", "-C", str(build), "-t", "commands", f"bin/{name}"], capture_output=True,
                              text=True, check=True).stdout.splitlines()
    command = commands[-1]
    assert f"-o bin/{name}" in command, command
    return command


def without(command, library):
    """The link command without the library; None if it does not stand there."""
    short = library.removeprefix("lib")
    words = re.findall(r"\S+", command)
    kept = [w for w in words if w != f"-l{short}" and not re.search(rf"/{re.escape(library)}(-[\d.]+)?\.(so|a)", w)]
    return " ".join(kept) if len(kept) < len(words) else None


def check_links(build):
    for name, libraries in NEEDED.items():
        command = link_command(build, name).replace(f"-o bin/{name}", "-o /dev/null")
        whole = subprocess.run(command, shell=True, cwd=build, capture_output=True, text=True)
        yield whole.returncode == 0, f"{name} links as it stands (positive control)"
        for library in libraries:
            reduced = without(command, library)
            if reduced is None:
                yield False, f"{name} is not linked with {library}"
                continue
            link = subprocess.run(reduced, shell=True, cwd=build, capture_output=True, text=True)
            missing = sorted(set(re.findall(r"undefined reference to (?:symbol )?[`'](\w+)", link.stderr)))
            yield link.returncode != 0 and bool(missing), f"{name} without {library}: {len(missing)} undefined " \
                                                          f"({', '.join(missing[:3])}…)"


def main():
    build = Path(sys.argv[1]).resolve()
    results = list(check_symbols(build)) + list(check_links(build))
    for ok, text in results:
        print(f"{'ok  ' if ok else 'FAIL'} {text}")
    failed = sum(1 for ok, _ in results if not ok)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
