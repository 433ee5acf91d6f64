"""Quickly made dataclasses are what dataclasses are: frozen, keyword-only, with defaults."""

import copy
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from durable_core.storage import Finish, Head, Phase, Record, Token
from durable_core.storage.kit import changed
from durable_core.storage.quick import quickly_made


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlainBase:
    first: int
    tags: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain(_PlainBase):
    second: str = "b"


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class _QuickBase:
    first: int
    tags: dict[str, int] = field(default_factory=dict[str, int])


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class _Quick(_QuickBase):
    second: str = "b"


def test_values_and_defaults_are_those_of_a_dataclass() -> None:
    quick, plain = _Quick(first=1), _Plain(first=1)
    assert repr(quick).replace("_Quick", "") == repr(plain).replace("_Plain", "")
    assert type(quick) is _Quick
    assert isinstance(quick, _QuickBase)
    assert [one.name for one in fields(quick)] == ["first", "tags", "second"]


def test_a_default_factory_makes_another_value_for_each() -> None:
    assert _Quick(first=1).tags is not _Quick(first=1).tags


def test_equality_and_hash_follow_the_values() -> None:
    first, second = Token("me", 1), Token("me", 1)
    one = Finish(id="a", token=first, phase=Phase.COMPLETED, output=b"1")
    same = Finish(id="a", token=second, phase=Phase.COMPLETED, output=b"1")
    other = Finish(id="a", token=second, phase=Phase.COMPLETED, output=b"2")
    assert one == same
    assert one != other
    assert _Quick(first=1) != _QuickBase(first=1)


@pytest.mark.parametrize("made", [_Quick(first=1), changed(_Quick(first=1), second="c")])
def test_it_is_frozen_however_it_was_made(made: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        made.first = 2
    with pytest.raises(FrozenInstanceError):
        del made.second


def test_what_is_missing_or_unknown_is_refused() -> None:
    make: Any = _Quick
    with pytest.raises(TypeError, match="first"):
        make()
    with pytest.raises(TypeError, match="third"):
        make(first=1, third=3)
    with pytest.raises(TypeError, match="positional"):
        make(1)


def test_a_copy_differs_in_what_was_asked_for_alone() -> None:
    quick = _Quick(first=1, tags={"a": 1})
    other = changed(quick, second="c")
    assert (other.first, other.tags, other.second) == (1, quick.tags, "c")
    assert type(other) is _Quick
    assert quick.second == "b"
    assert other == replace(quick, second="c")


def test_a_subclass_stays_what_it_is() -> None:
    class Loose(_Quick):
        """Has a dictionary, as classes without slots have."""

    loose = Loose(first=1)
    assert type(loose) is Loose
    assert (loose.first, loose.second) == (1, "b")
    other = changed(loose, second="c")
    assert type(other) is Loose
    assert other.second == "c"


def test_a_copy_has_no_new_fields() -> None:
    with pytest.raises(AttributeError, match="third"):
        changed(_Quick(first=1), third=3)


def test_records_survive_what_the_standard_library_does_to_them() -> None:
    quick = Finish(id="a", token=Token("me", 1), phase=Phase.COMPLETED)
    assert copy.deepcopy(quick) == quick


def test_a_record_is_a_head_with_all_its_fields() -> None:
    assert issubclass(Record, Head)
    names = [one.name for one in fields(Record)]
    assert names[: len(fields(Head))] == [one.name for one in fields(Head)]
