"""The chart of a run: what a request takes in process, as SVG in light and dark, from what `results.json` keeps."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from benches.surroundings import ROOT

FOLDER = ROOT / "docs" / "assets"
# The most that a reader meets: a plain answer, parameters, dependencies, a JSON body, a large answer.
CASES = ("json", "items", "deps", "body", "dict")
LABELS = {
    "json": "json: a small answer",
    "items": "items: six typed parameters",
    "deps": "deps: a graph of dependencies",
    "body": "body: a model in, a model out",
    "dict": "dict: 4.1 kB of plain dicts",
}
CONTENDERS = {"fastapi": "FastAPI", "ferroapi": "ferroapi", "raw": "raw ASGI, by hand"}
BAR = 0.24
# The left edge, in microseconds.
LEAST = 0.2

# Text and lines, the grid, and a bar for each contender. The ground is the page's own.
THEMES = {
    "light": {"ink": "#24292f", "grid": "#d0d7de", "fastapi": "#8c959f", "ferroapi": "#bc4c00", "raw": "#54aeff"},
    "dark": {"ink": "#e6edf3", "grid": "#3d444d", "fastapi": "#7d8590", "ferroapi": "#f0883e", "raw": "#388bfd"},
}


def draw(section: dict[str, Any], theme: dict[str, str]) -> Figure:
    """Return the chart of the cases that `section` has, in the colours of `theme`."""
    figures = {row["name"]: row["figures"] for row in section["rows"]}
    cases = [name for name in CASES if name in figures]
    # Small enough that its words can be read on a telephone, where it is scaled down.
    figure = Figure(figsize=(5.2, 0.9 + 0.95 * len(cases)), layout="constrained")
    axes = figure.add_subplot()
    for place, (contender, label) in enumerate(CONTENDERS.items()):
        heights = [row + (place - 1) * BAR for row in range(len(cases))]
        values = [figures[name][contender] for name in cases]
        bars = axes.barh(heights, values, BAR * 0.92, left=0, color=theme[contender], label=label)
        axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, color=theme["ink"], fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(LEAST, 2000)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for row, name in enumerate(cases):
        axes.text(LEAST, row - 2 * BAR, LABELS[name], color=theme["ink"], fontsize=10, verticalalignment="center")
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.set_xlabel("µs of a request inside the framework (logarithmic; shorter is better)", fontsize=9)
    axes.xaxis.grid(True, color=theme["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, which="both", colors=theme["ink"])
    axes.xaxis.label.set_color(theme["ink"])
    figure.legend(loc="outside upper center", ncols=len(CONTENDERS), frameon=False, labelcolor=theme["ink"])
    return figure


def write_charts(results: dict[str, Any], folder: Path = FOLDER) -> list[Path]:
    """Draw each theme's chart into `folder`; return the files. The same results give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    # Letters as outlines look the same everywhere; the salt is what names parts of the drawing.
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "ferroapi"}):
        for name, theme in THEMES.items():
            path = folder / f"cost-{name}.svg"
            draw(results["in_process"], theme).savefig(path, transparent=True, metadata={"Date": None})
            written.append(path)
    return written
