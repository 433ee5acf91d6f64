"""The promises about inserting, claiming, applying and counting children."""

from .model import KILLED, RACED, Again, Draft, Hook, Level, area

INSERT = area(
    "INSERT",
    Draft("A created row reads back field by field as it was given; `now` is its `created_at`."),
    Draft(
        """An existing id is answered with `EXISTING_ID` and the whole stored record, whatever its
        phase, and nothing changes; the second of two items with one id counts as existing."""
    ),
    Draft(
        """An existing (task, key) is answered with `EXISTING_KEY`, an unfinished (task, wake_key)
        with `EXISTING_WAKE_KEY`, each with the whole stored record; the same words under another
        task are free. The id is looked for first, then the key, then the wake key."""
    ),
    Draft(
        """Of any number of concurrent inserts of one id or one key exactly one is answered with
        `CREATED`, and all answers name the same row.""",
        again=RACED,
    ),
    Draft(
        """A conflicting item does not hinder its neighbours, and a batch that is sent twice leaves
        one row for each item."""
    ),
    Draft(
        """An item that asks for an owner and is ready and due is held at once: gen 1, due None,
        `started_at` set, offered to no claim. One that is not due yet, or sleeps, is created
        un-held. A child may ask likewise, and `Applied.held` names those that are held."""
    ),
    Draft("An item with a parent raises `InvalidArgumentError`, and nothing is written."),
    Draft(
        """What was answered survives the kill of the server or process: inserts, and every other
        write.""",
        level=Level.CRASH_SAFE,
        requires="durable",
        hook=Hook.RESTART,
    ),
)

CLAIM = area(
    "CLAIM",
    Draft(
        """Only un-held rows with ``due <= now`` are claimed, at most `limit` of them; a limit of 0
        claims nothing."""
    ),
    Draft(
        """Only rows of the tasks and queues asked for are claimed, except finished rows (duties)
        and tasks whose name begins with ``$``, which every claim may get."""
    ),
    Draft(
        "No row is held by two claims under one gen, however many claim at once.",
        again=RACED,
    ),
    Draft(
        """A claim answers the stored record as it is after the claim: owner set, gen one higher,
        due None, `started_at` set to `now` if the phase is ready, everything else unchanged, the
        phase above all."""
    ),
    Draft(
        """Without concurrent claims, rows that were due before the call come by priority, the
        largest first, then by due in the declared resolution; ties in any order."""
    ),
    Draft(
        "A row that another caller has locked is skipped, not waited for.",
        again=(Again(Level.CONCURRENT, Hook.LOCK),),
    ),
    Draft(
        """Neither future rows of any priority nor any number of ready rows of unknown tasks hide a
        row that is due and known."""
    ),
    Draft(
        """`ids` claims those of the named rows that are un-held and unfinished, whatever their
        task, queue and due, and no others; a sleeper with a wake key only when it is due, because
        a wake-up would find it held and be lost."""
    ),
    Draft(
        """``find(Query(owner=...))`` shows exactly what the executor holds, at once after every
        claim, insert, apply and reap."""
    ),
    Draft(
        """`exhausted` is True only if the call left no known, due, un-held row behind; a short
        answer alone says nothing. A caller who repeats the claim without competitors gets to
        True."""
    ),
)

APPLY = area(
    "APPLY",
    Draft(
        """A transition that carries the current token is applied; values that it does not mention
        stay as they are."""
    ),
    Draft(
        """With a wrong owner or a wrong gen nothing changes: not the row, not its checkpoints, not
        its children, not its parent."""
    ),
    Draft(
        """Answers come in request order, and a refused item does not hinder its neighbours. Every
        refusal but `MISSING` carries the head as it stands. A kind that does not fit the phase is
        answered with `SUPERSEDED`."""
    ),
    Draft(
        """An item is applied wholly or not at all, for every reader; for a durable storage also
        when the server is killed in the middle.""",
        again=KILLED,
    ),
    Draft(
        """Sent again after it released the row, a transition is answered with `ALREADY` and has no
        second effect; also a finish whose duty was claimed since."""
    ),
    Draft(
        """Sent again after the row was reaped or claimed again, a transition is answered with
        `SUPERSEDED`, and nothing changes."""
    ),
    Draft(
        """A keep leaves the row held under the same token; sent again it has the same result and no
        second effect."""
    ),
    Draft(
        """Keep and release of a row whose cancellation was requested are refused with
        `CANCEL_REQUESTED`, their children and checkpoints too, unless `cancel_seen` is set."""
    ),
    Draft("A finish of a row whose cancellation was requested is applied."),
    Draft(
        """A final phase, its output and its error never change again; a settle touches neither."""
    ),
    Draft(
        """Checkpoints appear together with their item or not at all; the first value of a name
        stays."""
    ),
)

PARENT = area(
    "PARENT",
    Draft("After every commit `pending` equals the number of unfinished children."),
    Draft(
        """Children that end in one batch, in concurrent batches or in a batch that is sent twice
        are counted once each.""",
        again=RACED,
    ),
    Draft(
        """The end of a child that brings a waiting, un-held parent to ``pending <= join_at`` makes
        it due in the same commit, by whatever method the child ended."""
    ),
    Draft("A parent that is released into waiting after its children ended is due at once."),
    Draft("The end of a child leaves owner, gen and due of a held parent alone."),
    Draft(
        """A child that is already there with the same parent is neither inserted nor counted
        again, finished or not."""
    ),
    Draft(
        """A child whose id belongs to another parent or to a root, or whose wake key an unfinished
        sleeper has, refuses the whole item with `CHILD_CONFLICT`; `conflict` is its place among
        the children."""
    ),
    Draft(
        """A finish with unfinished children, by whatever method, leaves a duty: due 0. A finish
        without them leaves none: due None."""
    ),
    Draft(
        """A child of a finished parent ends normally; the parent's count goes down, its phase and
        its due stay."""
    ),
    Draft("Whoever claims the parent finds all its children, by `child_index`, across pages."),
    Draft(
        """Concurrent batches over one family, in any order of rows, end without a deadlock that
        reaches a caller.""",
        again=RACED,
    ),
    Draft(
        """A waiting row released with ``join_at = -1`` is due at the due given and not before,
        whatever its count."""
    ),
)
