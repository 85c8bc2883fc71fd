"""engine.py: a Docker engine of the test's own, from Debian's docker.io, beside any that the machine may run.

It lives in namespaces that `run` made: mounts (with a /run of its own, so that neither its socket nor its containerd is the machine's), processes
(when the first one ends, the kernel ends all) and network (bridges, rules and published ports are its own). For building an image it is started in
the machine's network, which apt needs, without bridge and rules; then once more in the network of the test.
"""
import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from stagecraft.wait import until

DOCKER, COMPOSE = "/usr/bin/docker", "/usr/bin/docker-compose"  # Debian's, whatever else PATH has
SOCKET = "/run/noria-compose.sock"


class EngineFailed(AssertionError):
    pass


def missing():
    """Programs that are not there."""
    return [name for name in ("/usr/sbin/dockerd", DOCKER, COMPOSE, "/usr/sbin/debootstrap", "/usr/sbin/iptables", "/usr/sbin/ip",
                              "/usr/bin/nsenter", "/usr/bin/unshare", "/usr/bin/tini") if not shutil.which(name)]


class Engine:
    def __init__(self, directory, cgroup):
        self.directory, self.cgroup = Path(directory), cgroup
        self.log = self.directory / "dockerd.log"
        self.pid_file = Path("/run/noria-compose-dockerd.pid")
        self.process = None

    def argv(self, network):
        argv = ["/usr/sbin/dockerd", "--host", f"unix://{SOCKET}", "--data-root", self.directory / "data", "--exec-root", "/run/docker",
                "--pidfile", self.pid_file, "--cgroup-parent", f"/{self.cgroup}", "--log-level", "warn"]
        if network is None:
            return argv
        return ["/usr/bin/nsenter", f"--net=/proc/self/fd/{network}"] + argv + ["--bridge=none", "--iptables=false", "--ip6tables=false"]

    async def start(self, network=None):
        """`network`: a descriptor of another network namespace to run in, without bridge; None: in this one."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.argv(network)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[] if network is None else [network], start_new_session=True)
        await until("the engine to answer", self._answers, 60)

    async def _answers(self):
        if self.process.poll() is not None:
            raise EngineFailed("dockerd did not start:\n" + self.log.read_text(errors="replace")[-4000:])
        return (await docker("version", check=False)).returncode == 0

    async def stop(self):
        """By its pid file, as it asks for; it stops its containers and its own containerd."""
        if self.process is None:
            return
        os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
        await until("the engine to stop", lambda: self.process.poll() is not None, 60)
        self.process = None


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_", "NORIA_"))}
    return kept | {"DOCKER_HOST": f"unix://{SOCKET}", "HOME": "/run", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | more


def _run(argv, check, within, env, cwd):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within, env=env, cwd=cwd)
    if check and done.returncode != 0:
        raise EngineFailed(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


async def run(argv, check=True, within=120, env=None, cwd=None):
    """A program, in a thread, so that clients go on reading. EngineFailed if it fails and `check`."""
    return await asyncio.to_thread(_run, [str(word) for word in argv], check, within, env or environment(), cwd)


async def docker(*words, **options):
    return await run([DOCKER, *words], **options)


async def output(*words, **options):
    return (await docker(*words, **options)).stdout.strip()
