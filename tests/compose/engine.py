"""engine.py: a Docker engine of the test's own, from Debian's docker.io, beside any that the machine may run.

It lives in namespaces that run.py made: mounts (with a /run of its own, so that neither its socket nor its containerd is the machine's), processes
(when the first one ends, the kernel ends all) and network (bridges, rules and published ports are its own). For building an image it is started in
the machine's network, which apt needs, without bridge and rules; then once more in the network of the test.
"""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

DOCKER, COMPOSE = "/usr/bin/docker", "/usr/bin/docker-compose"  # Debian's, whatever else PATH has
SOCKET = "/run/noria-compose.sock"
START_S = 60


class EngineFailed(Exception):
    pass


class Engine:
    def __init__(self, directory, cgroup, network=None):
        """`network`: a descriptor of another network namespace to run in, without bridge; None: in this one."""
        self.directory, self.cgroup, self.network = Path(directory), cgroup, network
        self.log = self.directory / "dockerd.log"
        self.pid_file = Path("/run/noria-compose-dockerd.pid")
        self.process = None

    def argv(self):
        argv = ["/usr/sbin/dockerd", "--host", f"unix://{SOCKET}", "--data-root", self.directory / "data", "--exec-root", "/run/docker",
                "--pidfile", self.pid_file, "--cgroup-parent", self.cgroup, "--log-level", "warn"]
        if self.network is None:
            return argv
        return ["/usr/bin/nsenter", f"--net=/proc/self/fd/{self.network}"] + argv + ["--bridge=none", "--iptables=false", "--ip6tables=false"]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.argv()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[] if self.network is None else [self.network], start_new_session=True)
        deadline = time.monotonic() + START_S
        while docker("version", check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise EngineFailed("dockerd did not start:\n" + self.log.read_text(errors="replace")[-4000:])
            time.sleep(0.05)  # an engine has no descriptor that says "ready"
        return self

    def stop(self):
        """By its pid file, as it asks for; it stops its own containerd."""
        if self.process is None:
            return
        os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_", "NORIA_"))}
    return kept | {"DOCKER_HOST": f"unix://{SOCKET}", "HOME": "/run", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | more


def run(argv, check=True, within=300, **options):
    options.setdefault("env", environment())
    done = subprocess.run([str(word) for word in argv], stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=within, **options)
    if check and done.returncode != 0:
        raise EngineFailed(f"{' '.join(str(word) for word in argv)}: exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def docker(*words, **options):
    return run([DOCKER, *words], **options)


def output(*words, **options):
    return docker(*words, **options).stdout.strip()


def missing():
    """Programs that are not there."""
    return [name for name in ("/usr/sbin/dockerd", DOCKER, COMPOSE, "/usr/sbin/debootstrap", "/usr/sbin/iptables", "/usr/bin/nsenter")
            if not shutil.which(name)]
