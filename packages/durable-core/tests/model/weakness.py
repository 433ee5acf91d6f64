"""The rules that can be switched off, one at a time."""

from enum import StrEnum


class Weakness(StrEnum):
    """What is done wrong; the values name the rule that is missing."""

    NO_RECONCILE = "after an unknown claim, ask what I hold"
    CLAIM_WRITES_PHASE = "a claim leaves the phase alone"
    SLEEPERS_ARE_REAPED = "a sleeper is not running"
    RELEASE_IGNORES_MARK = "releasing looks at the cancel mark"
    RELEASE_FORGETS_COUNT = "releasing into a wait checks the count again"
    FAMILY_IN_ONE_STATEMENT = "a child and its parent are never in one statement"
    RANDOM_CHILD_IDS = "ids of children are fixed before the first send"
    WAKE_SKEW = "a wake-up and the sleeper's insert meet at one row"
    DUE_AT_CALLERS_NOW = "what the storage makes due is due for every clock"
    NO_FENCING = "every write carries its token"
    REAP_BY_LIST_OF_DEAD = "reaping finds every row whose owner is not alive"
    NO_ISOLATION = "only who was alone when the executor died is guilty"
    NO_DUTY = "an end with unfinished children leaves a duty"
