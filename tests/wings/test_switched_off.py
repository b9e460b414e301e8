"""Wings that are switched off (`FERROAPI_PLAIN`): the library itself does the work, and every answer is FastAPI's.

Each set is tried in a process of its own, since wings are installed when the package is imported.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import starlette.middleware.base

from ferroapi._middleware.texts import is_known
from ferroapi._wings import NAMES, OFF, switched_off

PROGRAM = Path(__file__).with_name("applications.py")
SETTINGS = ("", *NAMES, "1")


@cache
def run(framework: str, setting: str) -> dict[str, Any]:
    """Return what the program has to say of a framework, and of which of the wings were used."""
    variables = {**os.environ, "FERROAPI_PLAIN": setting}
    command = [sys.executable, str(PROGRAM), framework]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_answer_is_fastapis_whatever_is_switched_off(setting: str) -> None:
    ours, theirs = run("ferroapi", setting), run("fastapi", "")
    assert ours["answers"] == theirs["answers"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wing_does_its_work_where_it_is_not_switched_off(setting: str) -> None:
    used = run("ferroapi", setting)["used"]
    expected = {name: name not in switched_off(setting) for name in NAMES}
    # Middleware functions of a Starlette that nothing was written for are left to it.
    expected["middleware"] &= is_known(starlette.middleware.base.__name__)
    assert used == expected


@pytest.mark.parametrize("setting", ["thread", "middleware,x", "2", "true"])
def test_a_name_that_is_no_wing_is_refused_with_those_that_are(setting: str) -> None:
    with pytest.raises(ValueError, match="threads, middleware, models, server"):
        switched_off(setting)


def test_names_may_have_blanks_around_them() -> None:
    assert switched_off(" threads, models ") == {"threads", "models"}
    assert switched_off("") == switched_off("0") == frozenset()


def test_this_process_has_what_its_variable_says() -> None:
    assert switched_off(os.environ.get("FERROAPI_PLAIN", "")) == OFF
