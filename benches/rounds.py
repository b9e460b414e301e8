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

    def ratio(self, name: str, reference: str) -> float:
        """Return how much larger one contender's figure is than another's: the median of the rounds' ratios.

        Both have met the same moments of the machine in a round, and others in the next.
        """
        return statistics.median(
            own / other for own, other in zip(self.rounds[name], self.rounds[reference], strict=True)
        )

    @property
    def medians(self) -> dict[str, float]:
        """The figure that is quoted for each contender."""
        return {name: statistics.median(rounds) for name, rounds in self.rounds.items()}
