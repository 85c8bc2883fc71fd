"""image.py: the image, as deploy/Dockerfile builds it."""
from pathlib import Path

from engine import docker, environment, output, run

ROOT = Path(__file__).resolve().parents[2]
BASE = "debian:bookworm-slim"
PROGRAMS = ("noria", "noria-broker", "noria-store", "noria-worker", "plc-agent", "plc-sim")


async def bring_base(tarball):
    await docker("import", "-c", 'CMD ["bash"]', tarball, BASE)


async def build(directory, programs=None):
    """`docker build -f deploy/Dockerfile -t noria .`, with BuildKit, which builds both stages at once. `programs`: a folder of built ones, that
    stands in for the first stage while a test is written."""
    context, file = ROOT, ROOT / "deploy/Dockerfile"
    if programs is not None:
        context = Path(directory) / "context"
        (context / "bin").mkdir(parents=True)
        for name in PROGRAMS:
            await run(["/usr/bin/strip", "-o", context / "bin" / name, Path(programs) / name])
        first, second = file.read_text().split("\nFROM $DEBIAN\n")
        head = next(line for line in first.splitlines() if line.startswith("ARG"))
        file = context / "Dockerfile"
        file.write_text(f"{head}\nFROM $DEBIAN\n" + second.replace("COPY --from=build /opt/noria/bin/", "COPY bin/"))
    await docker("build", "--network", "host", "-f", file, "-t", "noria", context, within=900, env=environment(DOCKER_BUILDKIT="1"))


async def size_mb():
    return int(await output("image", "inspect", "-f", "{{.Size}}", "noria")) / 1e6
