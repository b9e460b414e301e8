"""What every table keeps of its rounds, and the figure that is quoted."""

import statistics
from collections.abc import Mapping


class Rounds:
    """Figures of each contender, one a round."""

    rounds: dict[str, list[float]]

    def add(self, figures: Mapping[str, float]) -> None:
        """Keep the figures of one more round."""
        for name, figure in figures.items():
            self.rounds[name].append(figure)

    @property
    def medians(self) -> dict[str, float]:
        """The figure that is quoted for each contender."""
        return {name: statistics.median(rounds) for name, rounds in self.rounds.items()}
