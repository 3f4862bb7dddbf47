"""What the servers are made of: fetched once from Maven by coordinates, kept in a cache."""

import fcntl
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from samlog.servers.process import ServerError

KAFKA = "org.apache.kafka:kafka_2.13:4.1.0"
KAFKA_LOG = "org.slf4j:slf4j-simple:1.7.36"
"""Kafka brings the slf4j API without a binding; without one a broker that fails says nothing."""
ELASTICSEARCH = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:8.19.0:zip"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_FETCH_S = 900.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>samlog</groupId><artifactId>servers</artifactId><version>0</version>
  <dependencies>{}</dependencies>
</project>
"""


def cache_folder() -> Path:
    """Returns ``$XDG_CACHE_HOME/samlog/servers``; ``~/.cache`` when that is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "samlog" / "servers"


def kafka_jars() -> Path:
    """Returns the folder of Kafka's jars (45 files, 43 MB), fetched when it is not there yet.

    Raises `ServerError` when Maven is absent or cannot fetch.
    """
    return _cached("kafka-" + KAFKA.split(":")[2], _fetch_kafka)


def elasticsearch_home() -> Path:
    """Returns the unpacked distribution (107 MB), fetched when it is not there yet.

    Raises `ServerError` when Maven is absent or cannot fetch.
    """
    return _cached("elasticsearch-" + ELASTICSEARCH.split(":")[2], _fetch_elasticsearch)


def java() -> Path:
    """Returns the Java program: that of ``JAVA_HOME``, else the one on the path."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not Path(found).exists():
        raise ServerError("no Java found: install a JRE of version 17 or newer, or set JAVA_HOME")
    return Path(found).resolve()


def _cached(name: str, fetch: Callable[[Path], None]) -> Path:
    """Runs ``fetch`` on an empty folder and renames it: whoever sees the name sees all of it."""
    root = cache_folder()
    done = root / name
    if done.exists():
        return done
    root.mkdir(parents=True, exist_ok=True)
    with _lock(root / f"{name}.lock"):
        if not done.exists():
            part = root / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            fetch(part)
            part.rename(done)
    return done


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch_kafka(folder: Path) -> None:
    pom = folder.with_name(folder.name + ".pom.xml")
    pom.write_text(_POM.format("".join(_dependency(c) for c in (KAFKA, KAFKA_LOG))))
    goal = [f"{_PLUGIN}:copy-dependencies", "-DincludeScope=runtime"]
    _maven("-f", str(pom), *goal, f"-DoutputDirectory={folder}")
    pom.unlink()


def _dependency(coordinates: str) -> str:
    group, artifact, version = coordinates.split(":")
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
    )


def _fetch_elasticsearch(folder: Path) -> None:
    _maven(f"{_PLUGIN}:copy", f"-Dartifact={ELASTICSEARCH}", f"-DoutputDirectory={folder}")
    (packed,) = folder.glob("*.zip")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
        for item in archive.infolist():
            mode = item.external_attr >> 16 & 0o777
            if mode and not item.is_dir():
                (folder / item.filename).chmod(mode)
    packed.unlink()
    (home,) = folder.iterdir()
    for entry in home.iterdir():
        entry.rename(folder / entry.name)
    home.rmdir()


def _maven(*arguments: str) -> None:
    program = shutil.which("mvn")
    if program is None:
        raise ServerError("Maven (mvn) is not installed; it fetches the servers the first time")
    # -C: a file whose checksum differs fails the fetch instead of being warned about.
    command = [program, "-B", "-q", "-C", *arguments]
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_FETCH_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"Maven did not finish within {_FETCH_S:g} s") from error
    if ran.returncode:
        said = ran.stdout.decode("utf-8", "replace").strip().splitlines()[-15:]
        raise ServerError("Maven could not fetch the server:\n" + "\n".join(said))
