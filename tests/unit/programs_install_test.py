#!/usr/bin/python3
"""programs_install_test.py BUILD: the component `programs` of `cmake --install` is a whole Noria: five programs that find each other there."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAMS = {"noria", "noria-broker", "noria-store", "noria-worker", "plc-agent", "plc-sim"}
DEADLINE_S = 60
CONF = """\
runtime_dir: {top}/run
state_dir: {top}/state
workers: {{count: 1}}
ring: {{size_mib: 1}}
listeners: [{{name: a, port: 0}}]
"""


def installs(build, top):
    said = subprocess.run(["cmake", "--install", build, "--prefix", top / "first", "--component", "programs"], capture_output=True, text=True,
                          timeout=DEADLINE_S)
    assert said.returncode == 0, said.stdout + said.stderr
    (top / "first").rename(top / "moved")  # nothing in them remembers where they were put
    there = {str(p.relative_to(top / "moved")) for p in (top / "moved").rglob("*") if not p.is_dir()}
    assert there == {f"bin/{name}" for name in PROGRAMS}, there


def runs(top):
    (top / "c.yaml").write_text(CONF.format(top=top))
    up = subprocess.Popen([top / "moved/bin/noria", "up", "-c", top / "c.yaml"], stdout=subprocess.PIPE, stderr=open(top / "err", "w"), text=True)
    try:
        signal.alarm(DEADLINE_S)
        lines = []
        for line in up.stdout:
            lines.append(line)
            if line == "noria: ready\n":
                break
        assert lines and lines[-1] == "noria: ready\n", "".join(lines) + (top / "err").read_text()
        started = {os.readlink(f"/proc/{pid}/exe") for pid in Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()}
        assert started == {str(top / "moved/bin" / name) for name in ("noria-broker", "noria-worker")}, started
    finally:
        up.send_signal(signal.SIGINT)
    assert up.wait(DEADLINE_S) == 0, (top / "err").read_text()
    assert not (top / "run").exists()


def main():
    top = Path(tempfile.mkdtemp(prefix="nin"))
    try:
        installs(sys.argv[1], top)
        runs(top)
    finally:
        shutil.rmtree(top)
    print("1..1\nok 1 - installed and run")


main()
