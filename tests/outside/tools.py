"""The tools that `make outside` needs and that are not ours. Each is fetched once, into folders that git ignores.

Node packages, schemathesis, Go and a NATS client in Rust come from their registries by lock files with hashes.
Prometheus and Alertmanager are taken from PATH, else from Debian's packages, which are unpacked and not installed:
nothing on the system changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
_FETCHED = HERE.parents[1] / ".outside"
_VENV = _FETCHED / "venv"
_TOOLS = _FETCHED / "debian"
_DEBIAN = ("prometheus", "prometheus-alertmanager")
_NAMES = {
    "prometheus": ["prometheus"],
    "promtool": ["promtool"],
    "amtool": ["amtool"],
    "alertmanager": ["alertmanager", "prometheus-alertmanager"],
}
_TEMPLATE = Path("/usr/share/prometheus/alertmanager/default.tmpl")
_FETCH_WITHIN_S = 600


class ToolMissing(RuntimeError):
    """A tool can't be found or fetched; the message says what to do."""


@dataclass(frozen=True)
class Tools:
    """Paths of the programs."""

    node: str
    python: str  # of the environment that schemathesis and the client in Rust are in
    schemathesis: str
    go: str
    prometheus: str
    promtool: str
    amtool: str
    alertmanager: tuple[str, ...]

    def versions(self) -> dict[str, str]:
        """The first line that each says about itself."""
        asked = {"node": self.node, "schemathesis": self.schemathesis, "prometheus": self.prometheus}
        asked["alertmanager"] = self.amtool
        return {name: version(program) for name, program in asked.items()} | {"go": version(self.go, "version")}


def fetch() -> Tools:
    """All tools, fetched if need be. Raises `ToolMissing`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise ToolMissing("node (20 or newer) and npm are needed; install them and run make outside again")
    _npm_packages(npm)
    found = {name: find(choices) for name, choices in _NAMES.items()}
    if not all(found.values()):
        _unpack_debian()
        found = {name: find(choices) for name, choices in _NAMES.items()}
    if missing := [name for name, path in found.items() if not path]:
        raise ToolMissing(f"{', '.join(missing)} can't be found; put them on PATH")
    paths = {name: str(path) for name, path in found.items()}
    alertmanager = _with_its_share(paths.pop("alertmanager"))
    ours = {name: str(_environment() / name) for name in ("python", "schemathesis", "go")}
    return Tools(node=node, alertmanager=alertmanager, **ours, **paths)


def run(command: Sequence[str | Path], within_s: float, where: Path = HERE, **more: str) -> tuple[int, str]:
    """Run a program to its end; returns exit code and all that it said. Raises `ToolMissing` if it does not end."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=where,
            env=os.environ | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        raise ToolMissing(f"{command[0]} did not end within {within_s:g} s: {said[-1000:]}") from error
    return done.returncode, done.stdout.decode(errors="replace")


def _must(command: Sequence[str | Path], where: Path = HERE) -> None:
    code, said = run(command, _FETCH_WITHIN_S, where)
    if code:
        raise ToolMissing(f"{' '.join(str(part) for part in command)} failed: {said[-1500:]}")


def _npm_packages(npm: str) -> None:
    stamp = MODULES / ".headgate-lock"
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        _must([npm, "ci", "--no-audit", "--no-fund"])
        stamp.write_text(wanted)


def _environment() -> Path:
    """The folder of programs of an environment with all that the lock names."""
    programs, stamp = _VENV / "bin", _VENV / ".headgate-lock"
    lock = HERE / "requirements.lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest() + sys.version
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(_VENV, clear=True, with_pip=True)
        pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--require-hashes"]
        _must([programs / "python", *pip, "-r", lock])
        stamp.write_text(wanted)
    return programs


def find(names: Sequence[str]) -> str | None:
    """The first of these programs on PATH, or among what was unpacked."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(_TOOLS / "usr" / "bin")])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _with_its_share(alertmanager: str) -> tuple[str, ...]:
    """Debian's build reads its template from a fixed place: where that is not installed, show it the unpacked one."""
    unpacked = _TOOLS / "usr" / "share"
    if not Path(alertmanager).is_relative_to(_TOOLS) or _TEMPLATE.exists():
        return (alertmanager,)
    mount = f'mount --bind {shlex.quote(str(unpacked))} /usr/share && exec "$@"'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", alertmanager)


def _unpack_debian() -> None:
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise ToolMissing("prometheus, promtool, alertmanager and amtool must be on PATH (or apt-get, to fetch them)")
    _TOOLS.mkdir(parents=True, exist_ok=True)
    if run([apt, "download", *_DEBIAN], _FETCH_WITHIN_S, _TOOLS)[0]:
        _must([apt, "update"])  # needs root; without it the sentence of apt says so
        _must([apt, "download", *_DEBIAN], _TOOLS)
    for package in _TOOLS.glob("*.deb"):
        _must([dpkg, "-x", package, _TOOLS])
        package.unlink()


def version(program: str, asked: str = "--version") -> str:
    """What the program calls its version."""
    found = re.search(r"\d+\.\d+[\w.+-]*", run([program, asked], 30)[1])
    return found[0] if found else "?"
