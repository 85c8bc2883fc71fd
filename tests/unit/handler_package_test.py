#!/usr/bin/python3
"""handler_package_test.py BUILD SOURCE [SANITIZERS]: libnoria-handler as an outside project has it.

Installs the component `handler` of BUILD below a temporary prefix and moves it, copies SOURCE/workers/handler/example elsewhere, builds it
there with find_package() and with pkg-config, and plays a worker against both programs and against chat.py. Prints TAP.
"""
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

import msgpack

HELLO, OPEN, MESSAGE, CLOSED, WELCOME, TAKEN, REPLY, SUBSCRIBE, PUBLISH = 1, 2, 3, 4, 33, 34, 35, 37, 39
DEADLINE_S = 60
HI = {"message": "Hi", "user": "System"}


class Worker:
    """The other end of the protocol, with nothing of Noria's."""

    def __init__(self, path):
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(DEADLINE_S)
        self.link.connect(str(path))
        self.event = 0
        self.say(HELLO, 1, "chat", "worker.0", 65536, 5000, [["/chat", False], ["/chat-raw", True]])
        assert self.hear()[:2] == [WELCOME, 1]

    def frame(self, kind, *fields):
        if kind in (OPEN, MESSAGE, CLOSED):
            self.event += 1
            fields = (self.event, *fields)
        packed = msgpack.packb([kind, *fields])
        return len(packed).to_bytes(4, "big") + packed

    def say(self, kind, *fields, pieces=False):
        frame = self.frame(kind, *fields)
        for piece in ([frame[i:i + 1] for i in range(len(frame))] if pieces else [frame]):
            self.link.sendall(piece)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.link.recv(count - len(data))
            assert more, "the process hung up"
            data += more
        return data

    def hear(self):
        return msgpack.unpackb(self.exactly(int.from_bytes(self.exactly(4), "big")))

    def hears(self, *expected):
        got = self.hear()
        assert got == list(expected), f"{got} instead of {list(expected)}"

    def open(self, conn, path, query="", resumed=False):
        self.say(OPEN, conn, path, query, "", "127.0.0.1:1", resumed)
        self.hears(TAKEN, self.event)

    def asks(self, conn, body, status, answer, pieces=False):
        self.say(MESSAGE, conn, body, pieces=pieces)
        self.hears(REPLY, self.event, status, answer)


def the_documents_answers(worker):
    worker.open(1, "/chat")
    worker.asks(1, {"message": "hello", "user": "ana"}, 200, HI)
    worker.asks(1, {"message": "ñ" * 3000, "user": ""}, 200, HI, pieces=True)
    worker.open(2, "/chat-raw")
    worker.asks(2, '{"any": ["JSON"]}', 200, '{"Hola":"Mundo"}')
    worker.say(CLOSED, 1)
    worker.hears(TAKEN, worker.event)
    worker.asks(2, "1", 200, '{"Hola":"Mundo"}')


def what_the_schema_would_refuse_is_a_failure(worker):
    worker.open(3, "/chat")
    worker.say(MESSAGE, 3, {"message": 1})
    kind, event, status, body = worker.hear()
    assert (kind, event, status, body["errorList"][0]["type"]) == (REPLY, worker.event, 500, "handler_failed")
    worker.asks(3, {"message": "", "user": ""}, 200, HI)


def rooms(worker):
    worker.say(OPEN, 4, "/chat", "a=1&room=sala&b=2", "", "", False)
    worker.hears(TAKEN, worker.event)
    worker.hears(PUBLISH, "/chat", "sala", 200, {"message": "Somebody came", "user": "System"}, 4)
    worker.hears(SUBSCRIBE, 4, "sala")
    worker.say(MESSAGE, 4, {"message": "buenas", "user": "ana"})
    worker.hears(PUBLISH, "/chat", "sala", 200, {"message": "buenas", "user": "ana"}, 4)
    worker.hears(REPLY, worker.event, 200, HI)
    worker.say(CLOSED, 4)
    worker.hears(TAKEN, worker.event)
    assert worker.hear()[:4] == [PUBLISH, "/chat", "sala", 200]


def resumed_connections_do_not_come_again(worker):
    worker.say(OPEN, 5, "/chat", "room=sala", "", "", True)
    worker.hears(TAKEN, worker.event)
    worker.say(MESSAGE, 5, {"message": "still", "user": "ana"})
    assert worker.hear()[3:] == [200, {"message": "still", "user": "ana"}, 5], "no on_connect, and its room is known"
    worker.hears(REPLY, worker.event, 200, HI)


def another_worker_dies_in_a_frame(worker, path, goes_on_elsewhere):
    """The library tells the room over the worker that is left; the Python example has one worker per thread."""
    other = Worker(path)
    other.open(1, "/chat-raw")
    other.say(OPEN, 2, "/chat", "room=other", "", "", False)
    assert [other.hear()[0] for _ in range(3)] == [TAKEN, PUBLISH, SUBSCRIBE]
    other.link.sendall(other.frame(MESSAGE, 2, {"message": "x", "user": ""})[:-3])
    other.link.close()
    if goes_on_elsewhere:
        worker.hears(PUBLISH, "/chat", "other", 200, {"message": "Somebody went", "user": "System"}, 0)
    worker.open(6, "/chat-raw")
    worker.asks(6, "[]", 200, '{"Hola":"Mundo"}')


class Program:
    """A handler process with a socket passed down, as the launcher does it."""

    def __init__(self, command, scratch, env):
        self.path = Path(tempfile.mkdtemp(dir=scratch)) / "h.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()

        def pass_down():
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)

        self.process = subprocess.Popen(command, preexec_fn=pass_down, close_fds=False, env={**os.environ, **env, "LISTEN_FDS": "1"})
        listener.close()

    def play(self, stop_code, goes_on_elsewhere=True):
        try:
            worker = Worker(self.path)
            the_documents_answers(worker)
            what_the_schema_would_refuse_is_a_failure(worker)
            rooms(worker)
            resumed_connections_do_not_come_again(worker)
            another_worker_dies_in_a_frame(worker, self.path, goes_on_elsewhere)
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(DEADLINE_S)
            assert code == stop_code, f"ended with {code}"
        finally:
            self.process.kill()
            self.process.wait()


def run(*command, **how):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}:\n{done.stdout}"
    return done.stdout


class Package:
    def __init__(self, build, source, sanitizers):
        self.build, self.source = Path(build).resolve(), Path(source).resolve()
        self.flags = [f"-fsanitize={sanitizers}"] if sanitizers else []
        self.scratch = Path(tempfile.mkdtemp(prefix="noria-handler-package-"))
        self.prefix = self.scratch / "moved" / "here"
        self.example = self.scratch / "outside"

    def installs_and_moves(self):
        first = self.scratch / "first"
        run("cmake", "--install", self.build, "--prefix", first, "--component", "handler")
        self.prefix.parent.mkdir()
        first.rename(self.prefix)
        files = sorted(str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if not path.is_dir())
        assert any(name.endswith("libnoria-handler.so.1") for name in files) and "include/noria/handler.h" in files, files
        for path in self.prefix.rglob("*"):
            if path.suffix in (".cmake", ".pc"):
                text = path.read_text()
                assert str(self.source) not in text and str(self.build) not in text and str(first) not in text, f"{path} names the build"

    def shows_its_api_alone(self):
        library = next(self.prefix.rglob("libnoria-handler.so"))
        shown = [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]
        assert shown and all(name.startswith("noria_") for name in shown), shown

    def builds_with_find_package(self):
        shutil.copytree(self.source / "workers/handler/example", self.example)
        flags = " ".join(self.flags)
        run("cmake", "-G", "Ninja", "-S", self.example, "-B", self.scratch / "by-cmake", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_C_FLAGS=-Wall -Wextra -Werror {flags}")
        run("cmake", "--build", self.scratch / "by-cmake")
        Program([self.scratch / "by-cmake/noria-chat"], self.scratch, {}).play(0)

    def builds_with_pkg_config(self):
        env = {**os.environ, "PKG_CONFIG_PATH": str(next(self.prefix.rglob("pkgconfig")))}
        told = run("pkg-config", "--cflags", "--libs", "noria-handler", env=env).split()
        program = self.scratch / "by-pkg-config"
        run("cc", "-std=gnu17", *self.flags, "-o", program, self.example / "noria_chat.c", *told)
        library = next(self.prefix.rglob("libnoria-handler.so")).parent
        Program([program], self.scratch, {"LD_LIBRARY_PATH": str(library)}).play(0)

    def another_version_is_not_found(self):
        wanted = self.scratch / "wanted"
        wanted.mkdir()
        (wanted / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(wanted C)\nfind_package(noria-handler 2 REQUIRED)\n")
        done = subprocess.run(["cmake", "-G", "Ninja", "-S", wanted, "-B", wanted / "b", f"-DCMAKE_PREFIX_PATH={self.prefix}"], capture_output=True, text=True)
        assert done.returncode != 0 and "1.0.0" in done.stderr, done.stderr

    def python_does_the_same(self):
        Program(["/usr/bin/python3", self.example / "chat.py"], self.scratch, {}).play(-signal.SIGTERM, goes_on_elsewhere=False)

    def python_is_fifty_lines(self):
        text, lines = (self.example / "chat.py").read_text(), set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER) or (token.type == tokenize.STRING and '"""' not in token.string):
                lines.add(token.start[0])
        assert len(lines) <= 50, len(lines)


def main():
    package = Package(*sys.argv[1:4], *[""] * (4 - len(sys.argv)))
    tests = [package.installs_and_moves, package.shows_its_api_alone, package.builds_with_find_package, package.builds_with_pkg_config,
             package.another_version_is_not_found, package.python_does_the_same, package.python_is_fifty_lines]
    failed = 0
    try:
        for number, test in enumerate(tests, 1):
            try:
                test()
                print(f"ok {number} - {test.__name__}", flush=True)
            except Exception as error:
                failed += 1
                print(f"not ok {number} - {test.__name__}\n# " + str(error or repr(error)).replace("\n", "\n# "), flush=True)
    finally:
        shutil.rmtree(package.scratch)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
