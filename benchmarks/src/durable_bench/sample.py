"""What one run of one case answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What reached a database.

    Attributes:
        statements: Statements, transaction control and housekeeping included.
        table_statements: Those of them that read or write tables.
        commits: Transactions that wrote.
        wal_bytes: What they added to the server's write-ahead log; None where nobody knows.
    """

    statements: int
    table_statements: int
    commits: int
    wal_bytes: int | None = None

    def __sub__(self, other: "Counts") -> "Counts":
        """Return what came after the other counts were read."""
        return Counts(
            statements=self.statements - other.statements,
            table_statements=self.table_statements - other.table_statements,
            commits=self.commits - other.commits,
            wal_bytes=None
            if self.wal_bytes is None or other.wal_bytes is None
            else self.wal_bytes - other.wal_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The figures of one run, raw.

    Attributes:
        tasks: Executions of user code that the run did.
        seconds: How long it took.
        cpu_seconds: Processor time of this process, all threads.
        latencies_ms: One per call, fan-out, chain or iteration, in ascending order.
        peak_mb: The largest resident set of the process, in MiB.
        counts: What reached the database; None if nobody counts.
        calls: Calls of the storage protocol; None for the sketch, which has none.
        details: What only this kind of case has.
        durability: Which settings of the storage decide about durability.
        complaints: Lines on the standard error stream: a healthy run has none.
    """

    tasks: int
    seconds: float
    cpu_seconds: float
    latencies_ms: Sequence[float] = ()
    peak_mb: float = 0.0
    counts: Counts | None = None
    calls: int | None = None
    details: Mapping[str, float] = field(default_factory=dict[str, float])
    durability: str = ""
    complaints: int = 0

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds

    def to_json(self) -> str:
        """Return the sample as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Sample":
        """Return what `to_json` wrote."""
        values = json.loads(line)
        if values["counts"] is not None:
            values["counts"] = Counts(**values["counts"])
        return cls(**values)
