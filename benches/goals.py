"""Goals of the cases, and what a run says of them. The cases are in `cases/table.py`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Goal: so many times faster than FastAPI."""

    factor: float

    def __str__(self) -> str:
        return f"{self.factor:g}x"

    def judge(self, figures: dict[str, float], others: dict[str, dict[str, float]]) -> tuple[float, bool] | None:
        """Return how many times faster and whether that is enough, None if FastAPI was not measured."""
        if "fastapi" not in figures:
            return None
        times = figures["fastapi"] / figures["ferroapi"]
        return times, times >= self.factor


@dataclass(frozen=True)
class Within:
    """Goal: within `factor` of what pydantic takes alone plus what the case `plus` takes."""

    factor: float
    plus: str

    def __str__(self) -> str:
        return f"≤ {self.factor:g} · (pydantic + {self.plus})"

    def judge(self, figures: dict[str, float], others: dict[str, dict[str, float]]) -> tuple[float, bool] | None:
        """Return the share of that sum and whether it is small enough, None if the other case was not measured."""
        if self.plus not in others:
            return None
        share = figures["ferroapi"] / (figures["pydantic"] + others[self.plus]["ferroapi"])
        return share, share <= self.factor


@dataclass(frozen=True)
class Flat:
    """Goal: within `factor` of the case `base`, which has fewer routes."""

    factor: float
    base: str

    def __str__(self) -> str:
        return f"≤ {self.factor:g} · {self.base}"

    def judge(self, figures: dict[str, float], others: dict[str, dict[str, float]]) -> tuple[float, bool] | None:
        """Return the share of the base and whether it is small enough, None if that was not measured."""
        if self.base not in others:
            return None
        share = figures["ferroapi"] / others[self.base]["ferroapi"]
        return share, share <= self.factor


Goal = Times | Within | Flat
