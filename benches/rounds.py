"""What every table keeps of its rounds, and the figure that is quoted."""

import statistics


class Rounds:
    """Figures of each contender, one a round."""

    rounds: dict[str, list[float]]

    @property
    def medians(self) -> dict[str, float]:
        """The figure that is quoted for each contender."""
        return {name: statistics.median(rounds) for name, rounds in self.rounds.items()}
