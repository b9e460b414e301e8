"""Tracebacks without this package's frames: what a user sees of an error is where the user's code made it."""

from types import TracebackType


def without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback with the frames of this package left out, those of others in their order."""
    # Asked now: under the alias the package has FastAPI's name.
    package = __name__.partition(".")[0]
    others = []
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__")).partition(".")[0] != package:
            others.append(traceback)
        traceback = traceback.tb_next
    kept: TracebackType | None = None
    for each in reversed(others):
        kept = TracebackType(kept, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return kept
