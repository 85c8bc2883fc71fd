#!/usr/bin/env python3
"""layers.py: the tree's layers, from one table, against the real #include lines and CMake's DEPS.

    tests/audit/layers.py [TREE]     prints FILE:LINE: rule for every breach; exit status 1 if there is any

The build holds the same lines by include paths (one target per folder); this audit reads the sources, so that a wrong
DEPS entry is no way around. layers_selftest.py plants one breach of each kind and expects it to be caught.
"""
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# --- the table -----------------------------------------------------------------------------------------------------
# folder → the folders whose headers its files may include (its own always). Lowest layer first; a folder that is not
# listed may hold no C. In one picture: processes meet only in wire and shm, agents never see shm,
# workers never see its writer, drivers see driver.h, base and model.

SMALL = ["common/base", "common/model"]
READS_SHM = ["common/shm/layout", "common/shm/reader", "common/shm/bell"]
PROCESS = [*SMALL, "common/stats", "common/conf", "common/wire", "common/bus", "common/proc", "common/control", "common/reload"]
WORKER_PARTS = ["workers/acceptor/wheel", "workers/acceptor/access", "workers/acceptor/gate", "workers/acceptor/ws", "workers/acceptor/fanout",
                "workers/acceptor/endpoint"]

LAYERS = {
    "common/base": [],
    "common/stats": ["common/base"],
    "common/schema": ["common/base"],
    "common/model": ["common/base"],
    "common/conf": [*SMALL, "common/entities"],
    "common/journal": SMALL,
    "common/frames": SMALL,
    "common/wire": SMALL,
    "common/handler": ["common/base"],
    "common/entities": ["common/base"],
    "common/shm/layout": [*SMALL, "common/stats"],
    "common/shm/writer": [*SMALL, "common/stats", "common/shm/layout"],
    "common/shm/reader": [*SMALL, "common/stats", "common/shm/layout"],
    "common/shm/bell": [*SMALL, "common/stats", "common/shm/layout"],
    "common/loop": ["common/base"],
    "common/bus": [*SMALL, "common/wire"],
    "common/proc": ["common/base"],
    "common/control": ["common/base"],
    "common/reload": [*SMALL, "common/conf", "common/control"],
    "common/reload/watch": ["common/base", "common/conf", "common/control", "common/reload", "common/loop"],
    "common/keyring": [*SMALL, "common/conf", "common/proc"],
    "broker": [*PROCESS, "common/loop", "common/reload/watch", "common/frames", "common/shm/writer", *READS_SHM],
    "plc-agent": [*PROCESS, "common/loop", "common/reload/watch", "common/journal", "plc-agent/drivers/carousel"],
    "plc-agent/drivers/carousel": [*SMALL, "common/loop", "plc-agent"],
    "plc-agent/sim": [*SMALL, "common/loop", "common/conf", "common/proc", "common/control", "common/reload", "common/reload/watch"],
    "workers/acceptor/wheel": ["common/base"],
    "workers/acceptor/access": [*SMALL, "common/conf", "common/keyring", "workers/acceptor/wheel"],
    "workers/acceptor/gate": ["common/base", "workers/acceptor/wheel"],
    "workers/acceptor/http": ["common/base", "workers/acceptor/wheel", "workers/acceptor/gate", "workers/acceptor/access"],
    "workers/acceptor/ws": ["common/base", "common/frames", "workers/acceptor/wheel", "workers/acceptor/gate"],
    "workers/acceptor/fanout": [*SMALL, "common/stats", "common/frames", *READS_SHM],
    "workers/acceptor/endpoint": [*SMALL, "common/stats", "common/conf", "common/frames", "common/wire", "common/entities", "workers/acceptor/access",
                                  "workers/acceptor/fanout"],
    "workers/acceptor/pool": [*SMALL, "common/conf", "common/handler"],
    "workers/acceptor/dialects/command": [*SMALL, "common/schema"],
    "workers/acceptor/dialects/carousel": [*SMALL, "common/schema", "common/conf", "common/frames", "common/wire", "common/shm/layout",
                                           "workers/acceptor/fanout", "workers/acceptor/endpoint",
                                           "workers/acceptor/dialects/command"],
    "workers/acceptor/dialects/streams": [*SMALL, "common/schema", "common/conf", "common/shm/layout", "workers/acceptor/endpoint"],
    "workers/acceptor/dialects/validated": [*SMALL, "common/schema", "common/conf", "common/handler", "common/shm/layout",
                                            "workers/acceptor/endpoint", "workers/acceptor/pool"],
    "workers/acceptor/dialects/channels": [*SMALL, "common/schema", "common/conf", "common/entities", "common/shm/layout",
                                           "workers/acceptor/access", "workers/acceptor/http", "workers/acceptor/endpoint"],
    "workers/acceptor/login": [*SMALL, "common/schema", "common/conf", "workers/acceptor/access", "workers/acceptor/gate", "workers/acceptor/http"],
    "workers/acceptor/sensors": [*SMALL, "common/schema", "common/conf", "common/entities", "workers/acceptor/access",
                                 "workers/acceptor/endpoint", "workers/acceptor/http", "workers/acceptor/dialects/channels"],
    "workers/store/db": [*SMALL, "common/entities", "workers/store/services"],
    "workers/store/services": ["common/base", "common/entities"],
    "workers/store": [*PROCESS, "common/loop", "common/reload/watch", "common/entities", "common/frames", *READS_SHM, "workers/store/db", "workers/store/services"],
    "workers/acceptor/rest": ["workers/acceptor/access", *SMALL, "common/conf", "common/frames", "common/shm/layout", "common/shm/reader",
                              "workers/acceptor/fanout", "workers/acceptor/endpoint", "workers/acceptor/http",
                              "workers/acceptor/dialects/command"],
    # /metrics, /healthz, /readyz: reads the counters of all processes
    "workers/acceptor/ops": [*SMALL, "common/stats", "common/shm/layout", "workers/acceptor/access", "workers/acceptor/http"],
    "workers/acceptor/worker": [*PROCESS, "workers/acceptor/ops", "common/frames", *READS_SHM, *WORKER_PARTS, "workers/acceptor/http",
                                "workers/acceptor/rest", "workers/acceptor/dialects/carousel",
                                "workers/acceptor/dialects/streams", "workers/acceptor/dialects/validated",
                                "workers/acceptor/pool", "common/entities", "workers/acceptor/login", "workers/acceptor/sensors",
                                "workers/acceptor/dialects/channels"],
    "workers/handler": ["common/base", "common/proc", "common/handler", "workers/handler/include/noria"],
    "workers/handler/include/noria": [],  # what is installed
    "workers/handler/example": ["workers/handler"],  # a project of its own: it sees what is installed
    "deploy/noria": [*SMALL, "common/stats", "common/schema", "common/conf", "common/keyring", "common/journal", "common/loop", "common/proc", "common/control", "common/shm/layout",
                     "common/shm/reader", "common/shm/bell", "common/wire", "common/bus", "workers/store/db"],
}
# Of a folder that is seen from another, only these headers (the others are its own business).
ONLY = {
    ("workers/handler/example", "workers/handler"): set(),
    ("plc-agent/drivers/carousel", "plc-agent"): {"driver.h"},
    # what the endpoint API hands a dialect: settings, a machine of the mirror, the number of its records
    ("workers/acceptor/dialects/carousel", "common/conf"): {"conf.h"},
    ("workers/acceptor/dialects/carousel", "workers/acceptor/fanout"): {"mirror.h"},
    ("workers/acceptor/dialects/carousel", "common/shm/layout"): {"record.h"},
    # dialects judge their messages by tables
    ("workers/acceptor/dialects/command", "common/schema"): {"schema_judge.h"},
    ("workers/acceptor/dialects/carousel", "common/schema"): {"schema_judge.h", "schema_json.h"},
    ("workers/acceptor/dialects/streams", "common/schema"): {"schema_judge.h"},
    ("workers/acceptor/dialects/streams", "common/conf"): {"conf.h"},
    ("workers/acceptor/dialects/streams", "common/shm/layout"): {"record.h"},
    ("workers/acceptor/dialects/streams", "workers/acceptor/endpoint"): {"endpoint.h"},
    ("workers/acceptor/dialects/validated", "common/schema"): {"schema.h", "schema_file.h"},
    ("workers/acceptor/dialects/validated", "common/conf"): {"conf.h"},
    ("workers/acceptor/dialects/validated", "common/shm/layout"): {"record.h"},
    ("workers/acceptor/dialects/validated", "workers/acceptor/endpoint"): {"endpoint.h"},
    ("workers/acceptor/dialects/validated", "workers/acceptor/pool"): {"pool.h"},
    # the worker shows what handlers' processes did
    ("workers/acceptor/worker", "workers/acceptor/pool"): {"pool.h"},
    ("workers/acceptor/worker", "workers/acceptor/dialects/validated"): {"validated.h"},
    # a backup is a copy of the store's database, and nothing else of it
    ("deploy/noria", "workers/store/db"): {"db.h"},
    # how an address in the ring is written, and what a frame is
    ("workers/store", "common/frames"): {"frames_seq.h", "ws_frame.h"},
    # the launcher asks whether a schema compiles, and validates nothing
    ("deploy/noria", "common/schema"): {"schema_file.h"},
    # HTTP sees requests, not the gate
    ("workers/acceptor/http", "workers/acceptor/gate"): {"gate_head.h", "gate_peer.h"},
    # who a client is, not how that was found out
    ("workers/acceptor/http", "workers/acceptor/access"): {"identity.h"},
    ("workers/acceptor/endpoint", "workers/acceptor/access"): {"identity.h"},
    ("workers/acceptor/rest", "workers/acceptor/access"): {"identity.h"},
    ("workers/acceptor/sensors", "workers/acceptor/access"): {"identity.h"},
    ("workers/acceptor/dialects/channels", "workers/acceptor/access"): {"identity.h"},
    ("workers/acceptor/dialects/channels", "workers/acceptor/endpoint"): {"endpoint.h", "store_call.h"},
    ("workers/acceptor/dialects/channels", "common/conf"): {"conf.h"},
    # a query is read in one place
    ("workers/acceptor/dialects/channels", "workers/acceptor/http"): {"http_path.h"},
    ("workers/acceptor/dialects/channels", "common/schema"): {"schema_json.h"},
    ("workers/acceptor/dialects/channels", "common/shm/layout"): {"record.h"},
    ("workers/acceptor/sensors", "workers/acceptor/endpoint"): {"endpoint.h", "store_call.h"},
    ("workers/acceptor/sensors", "workers/acceptor/http"): {"http.h"},
    ("workers/acceptor/login", "workers/acceptor/http"): {"http.h", "http_path.h"},
    ("workers/acceptor/login", "workers/acceptor/gate"): {"gate_peer.h"},
    ("workers/acceptor/ops", "workers/acceptor/access"): {"identity.h"},
    ("workers/acceptor/ops", "workers/acceptor/http"): {"http.h"},
    # REST is a caller of commands and asks what dialects ask
    ("workers/acceptor/rest", "common/conf"): {"conf.h"},
    ("workers/acceptor/rest", "workers/acceptor/fanout"): {"mirror.h"},
    ("workers/acceptor/rest", "workers/acceptor/endpoint"): {"endpoint.h", "caller.h", "pending.h"},
    ("workers/acceptor/rest", "workers/acceptor/http"): {"http.h"},
    ("workers/acceptor/rest", "common/shm/layout"): {"record.h"},
    ("workers/acceptor/rest", "common/shm/reader"): {"ring_reader.h"},
}

# Of a folder, only this module may see that other one: the launcher must not read what comes from outside.
ALONE = {
    ("deploy/noria", "common/wire"): "rearm",
    ("deploy/noria", "common/bus"): "rearm",
    ("deploy/noria", "workers/store/db"): "backup",
    ("deploy/noria", "common/shm/reader"): "eyes",
}

# Third-party header → the folders that may include it. Everything else under <…> must be one of the system's.
THIRD_PARTY = {
    "event2/": ["common/loop"],
    "zmq": ["common/bus"],
    "msgpack": ["common/wire", "common/handler", "workers/handler", "workers/handler/include/noria",
                "workers/handler/example", "workers/acceptor/pool", "workers/acceptor/dialects/validated"],
    "noria/": ["workers/handler/example"],
    "libwebsockets": ["workers/acceptor/ws"],
    "uv.h": ["workers/acceptor/gate", "workers/acceptor/http", "workers/acceptor/ws", "workers/acceptor/worker",
             "workers/acceptor/pool", "workers/acceptor/login"],
    "cyaml/": ["common/conf"],
    "sqlite3.h": ["workers/store/db"],
    "jwt.h": ["workers/acceptor/access"],
    "argon2.h": ["workers/acceptor/login", "deploy/noria"],
    "openssl/": ["common/journal", "common/keyring", "workers/acceptor/access", "deploy/noria"],
    "yaml.h": ["common/conf"],
    "jansson": ["common/conf", "common/journal", "common/schema", "workers/acceptor/dialects/carousel",
                "workers/acceptor/dialects/command", "workers/acceptor/dialects/validated", "workers/acceptor/dialects/channels",
                "workers/acceptor/rest", "workers/acceptor/sensors", "workers/acceptor/login", "workers/acceptor/access", "workers/store/db",
                "deploy/noria"],
    "sys/mman.h": ["common/shm/layout", "common/proc"],  # common/proc: black boxes
}
SYSTEM = re.compile(r"^(arpa/|linux/|net/|netinet/|sys/|bits/|[a-z0-9_]+\.h$)")
NOT_SYSTEM = re.compile(r"^(openssl/|curl/|json|cjson|json-c/|sqlite|jwt|nats|ev\.h|glib|boost|systemd/|lib|ncurses)")
PKG_CONFIG = {  # CMake's imported target → what of THIRD_PARTY it brings
    "EVENT": "event2/", "ZMQ": "zmq", "MSGPACK": "msgpack", "LWS": "libwebsockets", "UV": "uv.h", "CYAML": "cyaml/", "CRYPTO": "openssl/", "SQLITE": "sqlite3.h", "JWT": "jwt.h", "ARGON2": "argon2.h",
    "JANSSON": "jansson",
}

# Calls that one folder alone may make.
CALLS = {
    re.compile(r"\bmmap\s*\("): ["common/shm", "common/proc"],
    re.compile(r"\bmemfd_create\s*\("): ["common/shm", "common/proc"],
    re.compile(r"\bshm_open\s*\("): ["common/shm"],
}
DEMO_ID = re.compile(r'"(machine_\d+|carousel_\d+|Carrusel [^"]*)"')

# Hop → the folders in which it happens. Each hop stands in the header of a file of each first folder at least.
HOPS = {
    "D1": ["plc-agent/drivers", "plc-agent"], "D2": ["plc-agent/drivers", "plc-agent"],
    "D3": ["plc-agent"], "D4": ["plc-agent"], "D5": ["plc-agent", "common/bus"], "D6": ["broker", "common/bus"],
    "D7": ["broker", "common/shm/writer"],
    "D8": ["workers/acceptor", "common/shm/reader"], "D9": ["workers/acceptor"], "D10": ["workers/acceptor"],
    "D11": ["workers/acceptor"],
    "C1": ["workers/acceptor"], "C2": ["workers/acceptor"], "C3": ["workers/acceptor", "common/bus"],
    "C4": ["broker", "common/bus"], "C5": ["plc-agent", "workers/store"], "C6": ["plc-agent", "workers/store"],
    "R1": ["plc-agent", "common/bus", "workers/store"], "R2": ["broker", "common/shm/writer"], "R3": ["workers/acceptor"],
    "R4": ["workers/acceptor"],
}
HOP_LINE = re.compile(r"\bHops?:? ((?:[A-Z]\d+)(?:(?:, | and |, and |/|…| to |–|-)[A-Z]\d+)*)")
HEADER_LINES = 25

# --- the tree ------------------------------------------------------------------------------------------------------


@dataclass
class Source:
    path: Path
    name: str  # relative to the tree
    folder: str
    lines: list
    includes: list = field(default_factory=list)  # (line number, text, is_system)

    @cached_property
    def code(self):
        """(line number, line) of what is left without comments and blank lines."""
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), "\n".join(self.lines), flags=re.S)
        text = re.sub(r"//[^\n]*", "", text)
        return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]

    @cached_property
    def hops(self):
        """Hops named in the file's header comment: {"D7": line}."""
        found = {}
        for number, line in enumerate(self.lines[:HEADER_LINES], 1):
            for match in HOP_LINE.finditer(line):
                for hop in re.findall(r"[A-Z]\d+", match.group(1)):
                    found[hop] = number
        return found


@dataclass
class Module:
    name: str
    folder: str
    file: str
    line: int
    sources: list
    deps: list


INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SKIP = {".git", "build", "node_modules"}


def read_sources(tree):
    sources = []
    for path in sorted(tree.rglob("*.[ch]")):
        relative = path.relative_to(tree)
        if any(part in SKIP or part.startswith("build-") for part in relative.parts):
            continue
        lines = path.read_text(errors="replace").splitlines()
        source = Source(path, str(relative), str(relative.parent), lines)
        for number, line in enumerate(lines, 1):
            match = "include" in line and INCLUDE.match(line)
            if match:
                source.includes.append((number, match.group(2), match.group(1) == "<"))
        sources.append(source)
    return sources


COMMAND = re.compile(r"\b(noria_module|noria_unit_test|add_library|add_executable|target_link_libraries)\s*\(([^)]*)\)")


def read_modules(tree):
    """Modules and programs with their DEPS, out of every CMakeLists.txt but the top one and the tests'."""
    modules, linked = [], {}
    for path in sorted(tree.rglob("CMakeLists.txt")):
        relative = path.relative_to(tree)
        if relative.parts[0] in ("tests", "build") or len(relative.parts) == 1:
            continue
        text = re.sub(r"#[^\n]*", lambda m: " " * len(m.group()), path.read_text())
        for match in COMMAND.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            command, words = match.group(1), match.group(2).split()
            if command == "target_link_libraries":
                linked.setdefault((str(relative), words[0]), []).extend(
                    (w, line) for w in words[1:] if w not in ("PUBLIC", "PRIVATE", "INTERFACE"))
            elif command != "noria_unit_test":
                modules.append(_module(words, str(relative.parent), str(relative), line))
    for module in modules:
        module.deps += linked.get((module.file, module.name), [])
    return modules


def _module(words, folder, file, line):
    module, into = Module(words[0], folder, file, line, [], []), None
    for word in words[1:]:
        if word == "DEPS":
            into = module.deps
        elif word == "SOURCES":
            into = module.sources
        elif word.endswith(".c"):
            module.sources.append((word, line))
        elif into is not None:
            into.append((word, line))
    return module


# --- the rules -----------------------------------------------------------------------------------------------------


class Audit:
    def __init__(self, tree):
        self.tree = Path(tree)
        self.sources = read_sources(self.tree)
        self.modules = read_modules(self.tree)
        self.folder_of_header = {s.path.name: s.folder for s in self.sources if s.path.suffix == ".h"}
        self.breaches = []

    def breach(self, file, line, rule):
        self.breaches.append(f"{file}:{line}: {rule}")

    def run(self):
        self.names_are_unique()
        for source in self.sources:
            if source.folder.startswith("tests"):
                continue
            if source.folder not in LAYERS:
                self.breach(source.name, 1, f"folder {source.folder} stands in no layer: add it to LAYERS")
                continue
            self.includes_stay_in_layer(source)
            self.third_party_stays_home(source)
            self.calls_stay_home(source)
            self.no_demo_names(source)
            self.hops_are_real(source)
        self.deps_stay_in_layer()
        self.every_source_is_built()
        self.every_hop_is_told()
        self.pairs_tell_their_hop()
        return self.breaches

    def names_are_unique(self):
        seen = {}
        for source in self.sources:
            other = seen.setdefault(source.path.name, source)
            if other is not source:
                self.breach(source.name, 1, f"file name stands elsewhere too: {other.name}")

    def includes_stay_in_layer(self, source):
        for line, header, system in source.includes:
            if system:
                continue
            folder = self.folder_of_header.get(header)
            if folder is None:
                self.breach(source.name, line, f'"{header}" is no header of this tree, by bare name')
                continue
            if folder == source.folder:
                continue
            if folder not in LAYERS[source.folder]:
                self.breach(source.name, line, f"{source.folder} may not see {folder} (\"{header}\")")
            elif header not in ONLY.get((source.folder, folder), {header}):
                self.breach(source.name, line, f"of {folder}, {source.folder} may see only "
                                               f"{sorted(ONLY[(source.folder, folder)])}, not \"{header}\"")
            elif source.path.name not in self.files_alone(source.folder, folder, source.path.name):
                self.breach(source.name, line, f"in {source.folder}, module {ALONE[(source.folder, folder)]} alone may "
                                               f"see {folder} (\"{header}\")")

    def files_alone(self, folder, seen, default):
        """The files of `folder` that may see the folder `seen`; {default} where there is no rule."""
        module = next((m for m in self.modules if m.name == ALONE.get((folder, seen))), None)
        if module is None:
            return {default}
        sources = {Path(name).name for name, _ in module.sources}
        return sources | {name[:-2] + ".h" for name in sources}

    def third_party_stays_home(self, source):
        for line, header, system in source.includes:
            if not system:
                continue
            homes = next((homes for prefix, homes in THIRD_PARTY.items() if header.startswith(prefix)), None)
            if homes is not None:
                if source.folder not in homes:
                    self.breach(source.name, line, f"<{header}> belongs to {', '.join(homes)} alone")
            elif NOT_SYSTEM.match(header) or not SYSTEM.match(header):
                self.breach(source.name, line, f"<{header}> is a third party that no layer names")

    def calls_stay_home(self, source):
        strangers = [(call, homes) for call, homes in CALLS.items()
                     if not any(source.folder.startswith(home) for home in homes)]
        whole = "\n".join(line for _, line in source.code)
        for call, homes in [(call, homes) for call, homes in strangers if call.search(whole)]:
            for number, line in source.code:
                if call.search(line):
                    self.breach(source.name, number, f"{call.search(line).group()}…) belongs to {', '.join(homes)} alone")

    def no_demo_names(self, source):
        for number, line in source.code:
            if DEMO_ID.search(line):
                self.breach(source.name, number, f"a machine of the demo stands in C: {DEMO_ID.search(line).group()}")

    # --- hops

    def hops_are_real(self, source):
        for hop, line in source.hops.items():
            if hop not in HOPS:
                self.breach(source.name, line, f"there is no hop {hop}")
            elif not any(source.folder.startswith(folder) for folder in HOPS[hop]):
                self.breach(source.name, line, f"hop {hop} happens in {', '.join(HOPS[hop])}, not here")

    def every_hop_is_told(self):
        for hop, folders in HOPS.items():
            for folder in folders[:1]:
                told = [s for s in self.sources if s.folder.startswith(folder) and hop in s.hops]
                if not told:
                    self.breach(folder, 1, f"no file's header says \"Hop: {hop}\"")

    def pairs_tell_their_hop(self):
        """Where the .c says that it is on a flow, so does its header, which is what the next reader opens. The other
        way round is fine: the .c refers to its header."""
        by_stem = {(s.folder, s.path.stem): s for s in self.sources if s.path.suffix == ".h"}
        for source in self.sources:
            header = by_stem.get((source.folder, source.path.stem))
            if source.path.suffix == ".c" and header is not None and not source.folder.startswith("tests"):
                if source.hops and not header.hops:
                    self.breach(header.name, 1, f"{source.path.name} is on a hop; its header has no \"Hop:\" line")

    # --- CMake

    def deps_stay_in_layer(self):
        folder_of = {module.name: module.folder for module in self.modules}
        for module in self.modules:
            if module.folder not in LAYERS:
                self.breach(module.file, module.line, f"folder {module.folder} stands in no layer")
                continue
            for dep, line in module.deps:
                self.dep_stays_in_layer(module, dep, line, folder_of)

    def dep_stays_in_layer(self, module, dep, line, folder_of):
        if dep.startswith("PkgConfig::"):
            homes = THIRD_PARTY.get(PKG_CONFIG.get(dep[11:], ""), [])
            if module.folder not in homes:
                self.breach(module.file, line, f"{module.name} may not link {dep}")
        elif dep in folder_of:
            if folder_of[dep] != module.folder and folder_of[dep] not in LAYERS[module.folder]:
                self.breach(module.file, line, f"{module.name} may not depend on {dep} ({folder_of[dep]})")
            elif module.name != ALONE.get((module.folder, folder_of[dep]), module.name):
                self.breach(module.file, line, f"{module.name} may not depend on {dep}: in {module.folder}, "
                                               f"{ALONE[(module.folder, folder_of[dep])]} alone may")

    def every_source_is_built(self):
        built = {f"{m.folder}/{name}" for m in self.modules for name, _ in m.sources}
        for source in self.sources:
            if source.path.suffix == ".c" and not source.folder.startswith("tests") and source.name not in built:
                self.breach(source.name, 1, "stands in no CMakeLists.txt of its folder")


def main():
    tree = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    audit = Audit(tree)
    breaches = audit.run()
    print("\n".join(breaches) + ("\n" if breaches else "") +
          f"{len(audit.sources)} files, {len(audit.modules)} modules and programs, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
