"""The quick form of `make soak`: no growth with requests, and applications that are dropped are collected."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_memory_does_not_grow_with_requests_or_with_discarded_applications() -> None:
    command = [sys.executable, "-m", "benches.soak", "--quick"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "alive 0" in finished.stdout
