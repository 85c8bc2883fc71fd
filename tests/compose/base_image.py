"""base_image.py: debian:bookworm-slim without a registry: debootstrap's minimal Debian, thinned out as the official image is.

The tarball is kept in a cache and used again for a day, and for as long as the archive's Release file is the same, because debootstrap takes half a
minute. The machine's own apt sources and settings (a proxy, a snapshot) go into it, so that the build inside reaches what this machine reaches.
"""
import os
import shutil
import subprocess
import time
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"
KEPT_S = 86400

# https://github.com/debuerreotype/debuerreotype: .slimify-excludes and .slimify-includes, what apt keeps, and its habits in containers.
THINNED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/groff", "usr/share/linda", "usr/share/lintian",
           "var/cache/apt/archives", "var/lib/apt/lists", "var/log", "var/cache/debconf", "var/cache/ldconfig", "var/cache/apt")
DPKG = "".join(f"path-exclude /{path}/*\n" for path in ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale",
                                                        "usr/share/groff", "usr/share/linda", "usr/share/lintian")) + \
    "path-include /usr/share/doc/*/copyright\npath-include /usr/share/locale/locale.alias\n"
APT = """Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
"""
SECURITY = "http://deb.debian.org/debian-security"


def tarball(cache):
    """The path of a tarball with the root file system; made if the cache has none that is new enough."""
    path = Path(cache) / f"{SUITE}-slim.tar"
    if path.exists() and time.time() - path.stat().st_mtime < KEPT_S:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    root = path.with_suffix(f".{os.getpid()}")
    try:
        _make(root)
        part = path.with_suffix(f".part{os.getpid()}")
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-cf", part, "."], check=True)
        part.rename(path)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return path


def _make(root):
    done = subprocess.run(["debootstrap", "--variant=minbase", SUITE, root, MIRROR], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("debootstrap failed:\n" + done.stdout[-4000:] + done.stderr[-2000:])
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(DPKG + "force-unsafe-io\n")
    (root / "etc/apt/apt.conf.d/docker").write_text(APT)
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    for path in THINNED:
        _thin(root / path)
    _machines_apt(root)


def _thin(directory):
    for entry in sorted(directory.rglob("*"), reverse=True):
        keep = entry.name in ("copyright", "locale.alias") or entry.is_dir() and not entry.is_symlink() and any(entry.iterdir())
        if not keep:
            entry.rmdir() if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _machines_apt(root):
    """Debian's archive with its updates; what this machine's apt was told about reaching it."""
    (root / "etc/apt/sources.list").write_text(
        f"deb {MIRROR} {SUITE} main\ndeb {MIRROR} {SUITE}-updates main\ndeb {SECURITY} {SUITE}-security main\n")
    told = subprocess.run(["apt-config", "dump", "--no-empty"], capture_output=True, text=True).stdout.splitlines()
    kept = [line for line in told if line.startswith(("Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries"))]
    (root / "etc/apt/apt.conf.d/machine").write_text("\n".join(kept) + "\n")
