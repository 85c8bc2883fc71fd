"""process.py: one real process of a play.

Start returns when the process says READY (proc.h); every end is seen through a pidfd, never by polling. Output goes
to files that are shown when the play fails. A process that ends without having been told to is a failure of the play.
"""
import asyncio
import ctypes
import os
import signal
import subprocess
from pathlib import Path

from .wait import Late, limit, settle, until

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# When a broker is killed, libzmq's pipe_t::process_hiccup() forgets the parts of a worker's message that was not complete (64 at most). What
# the house itself forgets of libzmq's would not be seen here, either: bus_test looks for that.
LIBZMQ_LEAKS = Path(__file__).with_name("libzmq_leaks.supp")


def adopt_orphans():
    """Makes this process the parent of whatever its children leave behind, so that leftovers are found."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent():
    """When the runner goes, however it goes, this play and its actors, which are of its process group, go too."""
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Actor:
    """A process with a name ("b1"). `argv` is the whole command line, `fds` are descriptors that it inherits."""

    def __init__(self, stage, name, argv, env=None, ready=True, fds=()):
        self.stage, self.name, self.argv = stage, name, [str(a) for a in argv]
        self.env, self.says_ready, self.fds = dict(env or {}), ready, list(fds)
        self.proc = None
        self.told_to_end = False
        self.starts = 0
        self.baseline = None
        self._ended = None

    def __repr__(self):
        return f"<{self.name} pid {self.pid if self.proc else '-'}>"

    # --- life ---------------------------------------------------------------------------------------------------

    @property
    def pid(self):
        return self.proc.pid

    @property
    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    @property
    def output(self):
        """Path of standard output and standard error, all starts one behind the other."""
        return self.stage.dir / "out" / f"{self.name}.log"

    async def start(self, within=10.0, ready=None, **more_env):
        """`more_env`: for this start only. `ready`: whether READY is waited for, if otherwise than always."""
        assert not self.alive, f"{self.name} runs already"
        ready = self.says_ready if ready is None else ready
        read_end, write_end = os.pipe()
        env = {**os.environ, **self.stage.env, **self.env, **self._sanitizer_env(), **more_env}
        if ready:
            env["NORIA_READY_FD"] = str(write_end)
        self.output.parent.mkdir(exist_ok=True)
        with open(self.output, "ab") as out:
            self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                         pass_fds=self.fds + [write_end] * ready, cwd=self.stage.dir)
        os.close(write_end)
        self.starts += 1
        self.told_to_end = False
        self.baseline = None
        self._ended = _end_of(self.proc)
        try:
            if ready:
                await self._ready(read_end, within)
        finally:
            os.close(read_end)
        return self

    async def _ready(self, fd, within):
        os.set_blocking(fd, False)
        heard = bytearray()

        def listen():
            try:
                piece = os.read(fd, 64)
            except BlockingIOError:
                return False
            heard.extend(piece)
            return b"\n" in heard or not piece

        await until(f"{self.name} to say READY", listen, within)
        if bytes(heard) != b"READY\n":
            raise AssertionError(f"{self.name} did not get ready (said {bytes(heard)!r}); see {self.output}:\n{self.tail()}")

    def _sanitizer_env(self):
        log = self.stage.dir / "san" / self.name
        log.parent.mkdir(exist_ok=True)
        common = f"log_path={log}:exitcode=99"
        return {
            "ASAN_OPTIONS": f"{common}:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": f"{common}:print_stacktrace=1:halt_on_error=1",
            "TSAN_OPTIONS": common,
            "LSAN_OPTIONS": f"suppressions={LIBZMQ_LEAKS}:print_suppressions=0",
        }

    async def ended(self, within=5.0):
        """Waits for the end of the process; its exit code (negative: the signal)."""
        await settle(f"{self.name} to end", asyncio.shield(self._ended), within)
        return self.proc.wait()

    def send_signal(self, signo):
        os.kill(self.pid, signo)

    async def kill(self):
        """kill -9, at whatever instruction it stands."""
        self.told_to_end = True
        self.send_signal(signal.SIGKILL)
        return await self.ended()

    async def stop(self, signo=signal.SIGTERM, within=5.0):
        """Asks politely; anything but a clean exit in bounded time is a failure."""
        self.told_to_end = True
        self.send_signal(signo)
        try:
            code = await self.ended(within)
        except Late:
            where = _stacks(self.pid)
            await self.kill()
            raise Late(f"{self.name} did not stop within {limit(within):g} s; it stood in {where}:\n{self.tail()}") from None
        assert code == 0, f"{self.name} ended with {code} when told to stop:\n{self.tail()}"

    async def restart(self):
        """kill -9 and start again."""
        if self.alive:
            await self.kill()
        await self.start()

    def pause(self):
        self.send_signal(signal.SIGSTOP)

    def resume(self):
        self.send_signal(signal.SIGCONT)

    # --- what can be seen from outside -----------------------------------------------------------------------------

    def descriptors(self):
        """Kind of every open descriptor: {"socket": 4, "/dev/shm/…/ring": 1, …}; numbers of anonymous ones removed."""
        kinds = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                target = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            except OSError:
                continue
            kind = target.split(":[")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
        return kinds

    def _signals(self, kind, signo):
        """One of the sets of signals in /proc, as SigCgt, has this one."""
        status = dict(line.split(":\t") for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if ":\t" in line)
        return bool(int(status[kind], 16) & 1 << (signo - 1))

    def holds(self, signo):
        """The signal, sent now, waits."""
        return self._signals("SigBlk", signo)

    def catches(self, signo):
        """It has its own handler of the signal, and does not hold it back."""
        return self._signals("SigCgt", signo) and not self.holds(signo)

    async def gives_back_descriptors(self, within=5.0):
        """Holds no more of them than at mark()."""
        most = sum(self.baseline.values())
        try:
            await until(f"{self.name} to give back its descriptors", lambda: sum(self.descriptors().values()) <= most, within)
        except Late as late:
            raise Late(f"{late}: at mark() it held {self.baseline}, now {self.descriptors()}") from None

    def rss_kib(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError(f"{self.name}: no VmRSS")

    def text(self):
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def tail(self, lines=12):
        return "\n".join(f"    {self.name}| {line}" for line in self.text().splitlines()[-lines:])

    async def logs(self, *words, within=5.0, since=0):
        """Waits for a line of the process's log that holds all `words`; returns it."""

        def look():
            for line in self.text()[since:].splitlines():
                if all(word in line for word in words):
                    return line
            return None

        return await until(f"{self.name} to log {' … '.join(words)}", look, within)


def _end_of(proc):
    """A future that is done when the process has ended."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    fd = os.pidfd_open(proc.pid)

    def ended():
        loop.remove_reader(fd)
        os.close(fd)
        if not done.done():
            done.set_result(None)

    loop.add_reader(fd, ended)
    return done


def _stacks(pid):
    try:
        return Path(f"/proc/{pid}/wchan").read_text() or "user space"
    except OSError:
        return "?"


def serves(worker, server_port, client_port):
    """True if the process owns the server's end of that connection over 127.0.0.1."""
    table = Path("/proc/net/tcp").read_text()
    at = table.find(f" 0100007F:{server_port:04X} 0100007F:{client_port:04X} ")
    if at < 0:
        return False
    inode = table[at:table.find("\n", at)].split()[8]
    for fd in os.listdir(f"/proc/{worker.pid}/fd"):
        try:
            if os.readlink(f"/proc/{worker.pid}/fd/{fd}") == f"socket:[{inode}]":
                return True
        except OSError:
            continue
    return False


def children_of_this_process():
    """Every descendant that is still there, zombies aside: [(pid, command line)]."""
    mine = os.getpid()
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            after = stat.rsplit(")", 1)[1].split()
            if after[0] != "Z":
                parents[int(entry)] = int(after[1])
    found = []
    for pid in parents:
        parent = pid
        while parent in parents and parent != mine:
            parent = parents[parent]
        if parent == mine and pid != mine:
            found.append((pid, _command_line(pid)))
    return found


def _command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"
