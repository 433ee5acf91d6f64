"""The rules that the executor keeps so that the storage's promises add up to more."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_RULES: Final = (
    """For each token there is one releasing transition, decided once and sent again unchanged until
    it is answered.""",
    """All writes go through one task; user code that is cancelled never cancels a write that is on
    its way.""",
    """What an executor holds is known by id and token, and answers to an earlier incarnation of it
    are dropped.""",
    """After a claim or a held insert of unknown outcome, and once a minute, it asks what it holds
    (`find` by owner) and takes up what it did not know of.""",
    """Whether an execution has killed too many executors is judged by its head, before anything of
    it is decoded.""",
    """The id of a child is made from its parent and its place, the same on every attempt.""",
    """Suspects, one death short of the limit, run one at a time, so that only a suspect's own death
    condemns it.""",
    """Before every claim, start and step it checks, by a clock that cannot be set, that its lease
    has not run out.""",
    """`now` is the storage's time at the latest beat plus the time that has passed since; without
    a good sample nobody is declared dead.""",
    """A row that does not fit the code that claimed it is handed back with a growing delay, not
    failed.""",
    """Recorded progress sets the count of crashes back to 0.""",
    """An execution and its parent are never in one `apply`.""",
)

ENGINE_RULES: Final[Mapping[str, str]] = MappingProxyType(
    {f"ENGINE-{number}": " ".join(rule.split()) for number, rule in enumerate(_RULES, 1)}
)
"""Id -> rule, in their order."""
