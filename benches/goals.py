"""Goals of the cases, and what a run says of them. The cases are in `cases/table.py`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Goal: so many times faster than FastAPI."""

    factor: float

    def __str__(self) -> str:
        return f"{self.factor:g}x"

    @property
    def beside(self) -> str | None:
        """The case that takes turns with this one: none."""
        return None

    def judge(self, figures: dict[str, float]) -> tuple[float, bool]:
        """Return how many times faster, and whether that is enough."""
        times = figures["fastapi"] / figures["ferroapi"]
        return times, times >= self.factor


@dataclass(frozen=True)
class Within:
    """Goal: within `factor` of what pydantic takes alone plus what the case `plus` takes in the same rounds."""

    factor: float
    plus: str

    def __str__(self) -> str:
        return f"≤ {self.factor:g} · (pydantic + {self.plus})"

    @property
    def beside(self) -> str | None:
        """The case that takes turns with this one."""
        return self.plus

    def judge(self, figures: dict[str, float]) -> tuple[float, bool]:
        """Return the share of that sum, and whether it is small enough."""
        share = figures["ferroapi"] / (figures["pydantic"] + figures[self.plus])
        return share, share <= self.factor


@dataclass(frozen=True)
class Flat:
    """Goal: within `factor` of what the case `base`, which has fewer routes, takes in the same rounds."""

    factor: float
    base: str

    def __str__(self) -> str:
        return f"≤ {self.factor:g} · {self.base}"

    @property
    def beside(self) -> str | None:
        """The case that takes turns with this one."""
        return self.base

    def judge(self, figures: dict[str, float]) -> tuple[float, bool]:
        """Return the share of the base, and whether it is small enough."""
        share = figures["ferroapi"] / figures[self.base]
        return share, share <= self.factor


@dataclass(frozen=True)
class Kept:
    """Goal: at least this share of the time that the case `base` saves beside FastAPI is saved here, too."""

    share: float
    base: str

    def __str__(self) -> str:
        return f"≥ {self.share:g} · saved in {self.base}"

    @property
    def beside(self) -> str | None:
        """The case that takes turns with this one, and under FastAPI, too."""
        return self.base

    def judge(self, figures: dict[str, float]) -> tuple[float, bool]:
        """Return the share of what is saved there, and whether it is large enough."""
        saved_there = figures[f"fastapi {self.base}"] - figures[self.base]
        saved = figures["fastapi"] - figures["ferroapi"]
        share = saved / saved_there if saved_there else 1.0
        return share, share >= self.share


Goal = Times | Within | Flat | Kept
