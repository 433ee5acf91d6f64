"""Quantiles of durations in bounded memory."""

import math
from typing import Final

_LOWEST: Final = 1e-7
_HIGHEST: Final = 1e4
_ACCURACY: Final = 0.01
_GAMMA: Final = (1 + _ACCURACY) / (1 - _ACCURACY)
_SCALE: Final = 1 / math.log(_GAMMA)
_BUCKETS: Final = math.ceil(math.log(_HIGHEST / _LOWEST) * _SCALE) + 1


class Histogram:
    """Counts durations in buckets whose width grows with them.

    The mapping is that of DDSketch (Masson, Rim and Lee, *DDSketch: a fast and fully-mergeable
    quantile sketch with relative-error guarantees*, VLDB 2019) over a fixed range: between 100 ns
    and 10,000 s a quantile is at most 1 % off the true one, whatever the durations look like.
    Not safe for several threads by itself.
    """

    __slots__ = ("_counts", "count", "max", "min", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.min = math.inf
        self.max = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self.total += seconds
        self.min = min(self.min, seconds)
        self.max = max(self.max, seconds)
        if seconds <= _LOWEST:
            index = 0
        else:
            index = min(math.ceil(math.log(seconds / _LOWEST) * _SCALE), _BUCKETS - 1)
        self._counts[index] += 1

    def quantiles(self, *wanted: float) -> list[float]:
        """Return the durations below or at which these parts of all durations lie, in seconds.

        Args:
            wanted: Parts between 0 and 1, in ascending order.

        Raises:
            ValueError: Nothing was counted yet.
        """
        if not self.count:
            msg = "no durations were counted yet"
            raise ValueError(msg)
        answers: list[float] = []
        seen = 0
        index = -1
        for part in wanted:
            rank = max(1, math.ceil(part * self.count))
            while seen < rank:
                index += 1
                seen += self._counts[index]
            middle = _LOWEST * _GAMMA**index * 2 / (1 + _GAMMA)
            answers.append(min(max(middle, self.min), self.max))
        return answers
