"""Types of every kind, and Hypothesis strategies of their values."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Size(IntEnum):
    SMALL = 1
    LARGE = 10


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Point(NamedTuple):
    x: int
    y: float


class Options(TypedDict, total=False):
    depth: int
    names: list[str]


@dataclass
class Part:
    name: str
    raw: bytes
    weight: float
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    value: int
    children: "tuple[Tree, ...]" = field(default=())


class Order(BaseModel):
    number: int = Field(alias="orderNumber", gt=0)
    total: Decimal
    weight: float | None = None
    lines: dict[str, int] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.number)


def annotated(function: Callable[..., object], **annotations: Any) -> Any:
    """Return a function after giving it these annotations and no others."""
    function.__annotations__ = annotations
    return function


FLOATS = st.floats(allow_nan=False)
# The characters that UTF-8 can carry.
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
INTS = st.integers() | st.integers(-(10**40), 10**40)
PLAIN_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.builds(Tree, INTS),
    lambda inner: st.builds(Tree, INTS, st.lists(inner, max_size=3).map(tuple)),
    max_leaves=6,
)
ORDERS = st.builds(
    Order,
    orderNumber=st.integers(1, 10**9),
    total=st.decimals(allow_nan=False, allow_infinity=False),
    weight=st.none() | FLOATS,
    lines=st.dictionaries(TEXT, INTS, max_size=3),
)
PARTS = st.builds(Part, TEXT, st.binary(max_size=20), FLOATS, st.lists(INTS, max_size=3).map(tuple))
AWARE = st.datetimes(timezones=st.just(dt.UTC))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))

SHAPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (int, INTS),
    "float": (float, FLOATS),
    "bool": (bool, st.booleans()),
    "str": (str, TEXT),
    "bytes": (bytes, st.binary()),
    "none": (None, st.none()),
    "any": (Any, PLAIN_VALUES),
    "enum": (Colour, st.sampled_from(Colour)),
    "int enum": (Size, st.sampled_from(Size)),
    "str enum": (Mood, st.sampled_from(Mood)),
    "literal": (Literal["a", 1] | None, st.sampled_from(["a", 1, None])),
    "naive datetime": (dt.datetime, st.datetimes()),
    "aware datetime": (dt.datetime, AWARE),
    "datetime with offset": (
        dt.datetime,
        st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=OFFSETS),  # noqa: DTZ001 - bounds are naive
    ),
    "date": (dt.date, st.dates()),
    "time": (dt.time, st.times()),
    "timedelta": (
        dt.timedelta,
        st.timedeltas(dt.timedelta(days=-999_999), dt.timedelta(days=999_999)),
    ),
    "path": (Path, TEXT.filter(lambda text: "\0" not in text).map(Path)),
    "pure path": (PurePosixPath, st.just(PurePosixPath("/a/b"))),
    "uuid": (UUID, st.uuids()),
    "decimal": (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    "list": (list[int], st.lists(INTS)),
    "set": (set[int], st.sets(INTS)),
    "frozenset": (frozenset[str], st.frozensets(TEXT)),
    "tuple": (tuple[int, str], st.tuples(INTS, TEXT)),
    "long tuple": (tuple[bytes, ...], st.lists(st.binary()).map(tuple)),
    "named tuple": (Point, st.builds(Point, INTS, FLOATS)),
    "dict": (dict[str, list[int]], st.dictionaries(TEXT, st.lists(INTS, max_size=3), max_size=3)),
    "dict by number": (dict[int, str], st.dictionaries(INTS, TEXT, max_size=3)),
    "optional": (int | None, st.none() | INTS),
    "union": (int | str, INTS | TEXT),
    "typed dict": (
        Options,
        st.fixed_dictionaries({}, optional={"depth": INTS, "names": st.lists(TEXT, max_size=3)}),
    ),
    "dataclass": (Part, PARTS),
    "list of dataclasses": (list[Part], st.lists(PARTS, max_size=3)),
    "recursive dataclass": (Tree, TREES),
    "model with an alias": (Order, ORDERS),
    "dict of models": (dict[str, Order], st.dictionaries(TEXT, ORDERS, max_size=3)),
}
"""Name → annotation and values that fit it."""
