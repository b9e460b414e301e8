"""`make licenses`: write the licences of the Rust crates that are linked into the extension, from their own files.

The crates are those that `ferroapi-core` needs on any platform when it runs: no build tools, macros or tests.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "THIRD-PARTY-LICENSES.txt"
# The first of these that a crate has is taken: where it lets one choose, MIT is chosen.
FILES = ("LICENSE-MIT", "LICENSE-MIT.txt", "LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
HEAD = """\
The compiled extension of ferroapi contains the Rust crates below, each under the licence that follows its name. Where a
crate offers a choice that includes MIT, MIT is what is used here. `make licenses` writes this file.

It contains parts of the Rust standard library, too: Copyright (c) The Rust Project Contributors, MIT OR Apache-2.0,
https://github.com/rust-lang/rust. Every Rust toolchain has the full texts in share/doc/rust/COPYRIGHT-library.html.
"""


def linked() -> list[dict[str, Any]]:
    """Return the packages that are linked, as `cargo metadata` describes them, by name.

    Raises:
        subprocess.CalledProcessError: the lock file is not current.
    """
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    packages = {package["id"]: package for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    (start,) = (id for id, package in packages.items() if package["name"] == "ferroapi-core")

    def needed(id: str) -> Iterator[str]:
        for dependency in nodes[id]["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            is_macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
            if is_normal and not is_macro:
                yield dependency["pkg"]

    seen, waiting = set[str](), [start]
    while waiting:
        if (id := waiting.pop()) not in seen:
            seen.add(id)
            waiting += needed(id)
    # Without a source it is a crate of this repository.
    others = (packages[id] for id in seen if packages[id]["source"] is not None)
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def text_of(package: dict[str, Any]) -> str:
    """Return the text of a package's licence.

    Raises:
        SystemExit: it comes without a licence file that is known here.
    """
    folder = Path(package["manifest_path"]).parent
    for name in FILES:
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    raise SystemExit(f"{package['name']} {package['version']}: none of {', '.join(FILES)}")


def document() -> str:
    """Return the whole file."""
    parts = [HEAD]
    for package in linked():
        title = f"{package['name']} {package['version']} ({package['license']})\n{package['repository']}"
        parts.append(f"{'-' * 80}\n{title}\n\n{text_of(package)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if not OUTPUT.is_file() or OUTPUT.read_text(encoding="utf-8") != document():
            raise SystemExit(f"{OUTPUT.name} is not what the crates say: run `make licenses`")
    else:
        OUTPUT.write_text(document(), encoding="utf-8")
