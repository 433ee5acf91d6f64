"""The promises about wake-ups, cancellation, leases, time and reading."""

from .model import RACED, Draft, area

WAKE = area(
    "WAKE",
    Draft(
        """The unfinished, un-held sleeper of (task, wake_key), or with the id given, ends as the
        wake-up says: `COMPLETED` with the payload as output or `FAILED` with it as error,
        `ended_by` is the request, and its parent is counted in the same commit."""
    ),
    Draft(
        """Without a sleeper the message is kept, and the next sleeper of that key, root or child,
        is born finished with it: once."""
    ),
    Draft(
        """A wake-up that may be kept and the insert of its sleeper, at the same time, never miss
        each other.""",
        again=RACED,
    ),
    Draft(
        """Of any number of concurrent wake-ups of one key at most one is `WOKEN` and at most one
        `KEPT`; the others are `ALREADY_KEPT` or `NOBODY`, and `first` names the request that
        decided before them.""",
        again=RACED,
    ),
    Draft(
        """A sleeper whose time-out is claimed already answers `LATE` with its id, and nothing is
        kept."""
    ),
    Draft(
        """A message is not delivered at or after its `keep_until`, and not kept when that is None
        or past: `NOBODY`. A wake-up by id is never kept."""
    ),
    Draft(
        """A wake key is free again after the end of its sleeper, however it ended; the same key of
        another task is another key."""
    ),
    Draft(
        """The same request sent again, before another one of that key, gets the same outcome, id
        and `first`, whatever they were, and has no second effect."""
    ),
)

CANCEL = area(
    "CANCEL",
    Draft(
        """An un-held row with ``on_cancel = end`` is finished as cancelled at once: `ENDED`,
        `ended_by` is the request, and its parent is counted in the same commit."""
    ),
    Draft("A held row is marked: `MARKED`; its owner and gen stay."),
    Draft(
        """An un-held row with ``on_cancel = deliver`` is marked and made due: `MARKED`; its phase
        stays."""
    ),
    Draft(
        """A finished row stays as it is: `FINISHED`; an unknown id is `MISSING`; neighbours
        proceed, and answers come in request order with the head as it stands."""
    ),
    Draft(
        """Against finish, wake, claim and reap exactly one decides, and every answer agrees with
        the row.""",
        again=RACED,
    ),
    Draft(
        """The same request sent again answers `ENDED` again if it ended the row, else the row's
        present state, and has no second effect."""
    ),
    Draft("A child and its parent in one call, in either order, end with exact counts."),
)

LEASE = area(
    "LEASE",
    Draft("A lease that is renewed in time is never reaped: ``expires_at = now`` is in time."),
    Draft(
        """After a lease expired, one reap makes its rows claimable: owner None, gen one higher,
        crashes one higher, due 0, phase unchanged, finished rows (duties) included."""
    ),
    Draft(
        """Held rows of an owner without any lease are reaped too: one that never registered, or
        that wrote after it was declared dead."""
    ),
    Draft("A reap never touches un-held rows, sleepers included."),
    Draft(
        """The heartbeat of a reaped executor, or of one that never registered, answers
        ``alive = False`` every time, until it registers."""
    ),
    Draft("An expired lease that nobody reaped is renewed like any other."),
    Draft(
        "Apply and reap of one row at the same time have one winner, and counts stay exact.",
        again=RACED,
    ),
    Draft(
        """A reap finishes a marked, unfinished row with ``on_cancel = end`` as cancelled, its
        parent counted; one with ``deliver`` stays marked and becomes claimable."""
    ),
    Draft(
        """A heartbeat's orders are the heads of the executor's own marked, unfinished rows, in
        every beat until they are released; at most 500, and `more_orders` says if there are
        more."""
    ),
    Draft(
        """`limit` bounds the rows of one reap, `more` says whether such rows are left, and the next
        reap goes on; rows of the living are left alone."""
    ),
    Draft("A ttl of 0 or less signs off: what is still held can be reaped at once."),
    Draft(
        "A `PulseConnection` beats like `Storage.heartbeat`, orders included, from any thread.",
        requires="pulse",
    ),
    Draft(
        """`leases` lists every lease by executor id, across pages, expired and not yet reaped ones
        included, with the `info` of the registration.""",
        requires="leases",
    ),
)

TIME = area(
    "TIME",
    Draft("Conditions depend on the `now` given, never on the storage's clock or time zone."),
    Draft(
        """Microseconds are stored exactly and compared in the declared resolution, due rounded up:
        never early; ``due = now`` is due."""
    ),
    Draft(
        """``due = 0`` is due for every `now`, and whatever the storage itself makes due gets 0."""
    ),
    Draft("A `now` that is smaller than an earlier one is no error and loses nothing."),
    Draft("`clock` answers microseconds since the Unix epoch, and so does `Beat.clock`."),
)

READ = area(
    "READ",
    Draft(
        """`get` answers in request order, None for unknown ids, `Record` or with
        ``payload=False`` `Head`; every commit answered before the call is seen, through every
        handle."""
    ),
    Draft(
        """`find` answers in its order, by `child_index` if `parent_id` is given, else by
        (`created_at`, id), and its filters combine by AND; across pages, a row that did not change
        meanwhile is neither lost nor doubled."""
    ),
    Draft(
        """Payloads and texts come back byte for byte (NUL, emoji, empty, largest) and numbers at
        their limits exactly; texts are compared byte by byte."""
    ),
    Draft(
        """`find` and `count` block no writer; what was answered and what was given can be changed
        without changing anything stored."""
    ),
    Draft(
        """`count` counts what `find` finds, in all under ``"*"`` or by status, task or queue,
        exactly up to `cap`."""
    ),
    Draft("`checkpoints` come in the order of writing, across pages."),
)
