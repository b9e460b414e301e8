"""Where and with what a run was made: the machine, the versions and the commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_PACKAGES = ("fastapi", "starlette", "pydantic", "pydantic-core", "anyio", "uvloop", "httptools", "uvicorn")
_PEERS = ("granian", "litestar", "blacksheep", "falcon")


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of what takes part in a request."""
    import ferroapi

    found = {"python": platform.python_version(), "ferroapi": ferroapi.__version__}
    for package in (*_PACKAGES, *_PEERS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def surroundings() -> dict[str, Any]:
    """Describe this run, as it is kept beside the figures."""
    is_edited = _output("git", "status", "--porcelain", "--", "python", "rust", "benches/cases")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "rev-parse", "--short", "HEAD") + ("+" if is_edited else ""),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "load": [round(each, 2) for each in os.getloadavg()],
        },
        "versions": versions(),
    }
