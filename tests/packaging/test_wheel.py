"""What `make wheel` does: it compiles with a profile where that can be made, and says so where not."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _steps(*variables: str) -> str:
    """Return the commands that `make wheel` would run, none of which are run."""
    command = ["make", "--dry-run", "--always-make", "wheel", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def profdata(tmp_path: Path) -> str:
    program = tmp_path / "llvm-profdata"
    program.touch()
    return f"PROFDATA={program}"


def test_wheel_is_compiled_with_a_profile_of_the_cases(profdata: str) -> None:
    steps = _steps(profdata)
    order = [
        "-Cprofile-generate=",
        "-m benches.python.profiled",
        "llvm-profdata merge",
        "-Cprofile-use=",
        "check_distrib",
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert "without a profile" not in steps


def test_wheel_says_that_it_is_compiled_without_a_profile(profdata: str, tmp_path: Path) -> None:
    for variables, reason in (([f"PROFDATA={tmp_path}/missing"], "llvm-profdata is missing"), ([profdata, "PGO="], "")):
        steps = _steps(*variables)
        assert f"without a profile{': ' * bool(reason)}{reason}" in steps
        assert "-Cprofile" not in steps
        assert "maturin build --release --zig" in steps


def test_profile_is_of_functions_that_are_named_as_in_the_wheel(profdata: str) -> None:
    # Cargo makes a part of each name from the options of the build, the linker among them.
    builds = [line.partition("maturin build ")[2] for line in _steps(profdata).splitlines() if "maturin build " in line]
    counting, final = [
        [word for word in line.split() if word not in {"--quiet", "--skip-auditwheel"}] for line in builds
    ]
    assert counting[: counting.index("--out")] == final[: final.index("--out")]
