"""Who plays which part: a matter of the seed and the file's name, never of chance."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

_FLAKY_SHARE = 8
_MOST_HICCUPS = 2


@dataclass(frozen=True)
class Cast:
    """Which files make trouble.

    Attributes:
        seed: What the parts were drawn from.
        hiccups: File name -> how often reading it fails before it works.
        silent: The file about which the slow service never answers.
    """

    seed: int
    hiccups: dict[str, int]
    silent: str


def fraction(seed: int, *words: str) -> float:
    """Return a number from 0 to below 1 that depends on the seed and the words alone."""
    digest = hashlib.sha256("/".join((str(seed), *words)).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 256**6


def draw(seed: int, names: Sequence[str]) -> Cast:
    """Give out the parts: one file in eight is flaky (at least one), and one is silent.

    Args:
        seed: Another one gives the parts to other files.
        names: All files, at least one.
    """
    flaky = sorted(names, key=lambda name: fraction(seed, "flaky", name))
    flaky = flaky[: -(-len(names) // _FLAKY_SHARE)]
    return Cast(
        seed=seed,
        hiccups={name: 1 + int(fraction(seed, "often", name) * _MOST_HICCUPS) for name in flaky},
        silent=min(names, key=lambda name: fraction(seed, "silent", name)),
    )


def choose(seed: int, names: Sequence[str], limit: int) -> tuple[str, ...]:
    """Choose at most `limit` names by the seed; their order stays."""
    chosen = sorted(names, key=lambda name: fraction(seed, "choose", name))[:limit]
    return tuple(sorted(chosen))
