"""The promises about hints, transactions, purging, schemas, errors and capabilities."""

from .model import RACED, Again, Draft, Hook, Level, area

HINT = area(
    "HINT",
    Draft(
        "A hint is sent only after its commit is visible, and never for a rollback.",
        requires="push",
    ),
    Draft(
        """A listener's first hint is `Reconnected`; after it lost its connection it says
        `Reconnected` again, before any later hint.""",
        requires="push",
        again=(Again(Level.CRASH_SAFE, Hook.CUT),),
    ),
)

BIND = area(
    "BIND",
    Draft(
        """What is inserted in the caller's transaction is invisible before the caller's commit,
        gone after the caller's rollback, and never committed by the storage.""",
        requires="bind",
        hook=Hook.TRANSACTION,
    ),
    Draft(
        "An existing id or key is an answer and leaves the caller's transaction usable.",
        requires="bind",
        hook=Hook.TRANSACTION,
    ),
    Draft(
        """It locks nothing but what it inserts: others read and write as they could beside any
        other write of the caller's own in that transaction.""",
        requires="bind",
        hook=Hook.TRANSACTION,
    ),
    Draft(
        """A bound checkpoint under a stale token, or of a name that is recorded, is refused; under
        the current token it excludes reaping until the transaction ends.""",
        requires="bind_checkpoint",
        hook=Hook.TRANSACTION,
    ),
)

PURGE = area(
    "PURGE",
    Draft(
        """Only rows that are finished before the limit given, un-held, without duty and without
        unfinished children are purged; at most `limit` a call, and the answer is their number."""
    ),
    Draft("A child of an unfinished parent is never purged."),
    Draft(
        """Checkpoints go with their row, its id and key are free again, expired messages go;
        everything else stays."""
    ),
)

SCHEMA = area(
    "SCHEMA",
    Draft(
        """`setup` twice, or by several at once, is one setup; ``migrate=False`` writes nothing and
        names what is missing.""",
        again=RACED,
    ),
    Draft(
        """A protocol that the core does not serve and a newer schema are refused with both
        numbers; a newer schema keeps serving the release before it.""",
        again=(Again(Level.CRASH_SAFE, Hook.NEWER_SCHEMA),),
    ),
    Draft("Handles on one namespace see the same rows; two namespaces never see each other."),
    Draft(
        """`close` may be repeated; afterwards every call of that handle that reads or writes rows
        or leases raises `ClosedError`, and other handles go on."""
    ),
)

ERROR = area(
    "ERROR",
    Draft(
        """`TemporaryError` means that nothing of the call was written, and an answer that all of it
        was; a call that has committed any part and cannot go on raises `OutcomeUnknownError`.""",
        level=Level.CRASH_SAFE,
        hook=Hook.CUT,
    ),
    Draft(
        """A connection cut after a write was sent is `OutcomeUnknownError`, never
        `TemporaryError`; a read is never `OutcomeUnknownError`.""",
        level=Level.CRASH_SAFE,
        hook=Hook.CUT,
    ),
    Draft(
        """The driver's error is the ``__cause__``; one that is in no table counts, during a write,
        as outcome unknown.""",
        level=Level.CRASH_SAFE,
        hook=Hook.CUT,
    ),
    Draft(
        """Cancelling the awaiting task leaves the storage usable; each item landed wholly or not at
        all."""
    ),
    Draft(
        """A value outside the protocol's limits or the declared capabilities raises
        `InvalidArgumentError` or `TooLargeError` before anything of the call is written."""
    ),
)

CAPABILITY = area(
    "CAPABILITY",
    Draft("What a storage declares it can do, it does."),
    Draft("What a storage does not declare, it does not do."),
    Draft(
        """Capabilities are the same from every handle and do not change after `setup`; calls that
        are as large as they say are accepted."""
    ),
)
