"""Every exception can be kept, and every bytes can be shown."""

import json
import traceback
from typing import Any, NoReturn, cast

import pytest
from hypothesis import given, settings, strategies as st

from durable_core.codec import ErrorInfo, InputCodec, JsonSerializer
from durable_core.errors import InputError
from durable_core.failure import MAX_MESSAGE, MAX_NOTE, MAX_NOTES, MAX_TRACEBACK, MAX_TYPE


class OwnError(Exception):
    """An exception of somebody's own."""


def raised(error: BaseException) -> BaseException:
    """Return an exception after it was raised here."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def kept(error: BaseException) -> ErrorInfo:
    """Return what is left of an exception after a way through bytes."""
    info = ErrorInfo.from_exception(error, retryable=False)
    assert ErrorInfo.decode(info.encode()) == info
    json.loads(info.encode().decode())
    return info


def test_type_message_traceback_and_notes_are_kept() -> None:
    error = raised(ValueError("no good"))
    error.add_note("in line 7")
    info = ErrorInfo.decode(ErrorInfo.from_exception(error, retryable=True).encode())
    assert info.type == "builtins.ValueError"
    assert info.type_name == "ValueError"
    assert info.message == "no good"
    assert info.retryable
    assert info.notes == ("in line 7",)
    assert info.traceback.startswith("Traceback (most recent call last):\n")
    assert "in raised\n    raise error" in info.traceback
    assert info.traceback.endswith("ValueError: no good\nin line 7")
    assert str(info) == "ValueError: no good"


def test_types_of_modules_are_told_with_their_module() -> None:
    info = kept(OwnError())
    assert info.type == f"{OwnError.__module__}.OwnError" == str(info)


def test_causes_are_in_the_traceback() -> None:
    error = OwnError("second")
    error.__cause__ = raised(KeyError("first"))
    text = kept(raised(error)).traceback
    assert "KeyError: 'first'" in text
    assert "direct cause" in text
    assert text.endswith("OwnError: second")


def test_groups_are_in_the_traceback() -> None:
    text = kept(ExceptionGroup("both", [ValueError("one"), OwnError("two")])).traceback
    assert "ValueError: one" in text
    assert "OwnError: two" in text


def test_the_traceback_begins_in_the_users_code() -> None:
    def function(a: int) -> None: ...

    def validate(a: int) -> NoReturn:  # noqa: ARG001 - it is called by name
        msg = "no"
        raise OwnError(msg)

    codec = InputCodec.of(function, JsonSerializer(), task="t", validate=validate)
    with pytest.raises(InputError) as caught:
        codec.encode((1,), {})
    cause = caught.value.__cause__
    assert cause is not None
    assert "signature.py" in "".join(traceback.format_exception(cause))
    assert "signature.py" not in kept(cause).traceback
    assert "in validate" in kept(cause).traceback


def test_a_traceback_of_durable_alone_is_kept() -> None:
    def function() -> None: ...

    codec = InputCodec.of(function, JsonSerializer(), task="t")
    with pytest.raises(InputError) as caught:
        codec.decode(b"")
    error = caught.value
    assert error.__traceback__ is not None
    info = kept(error.with_traceback(error.__traceback__.tb_next))
    assert "signature.py" in info.traceback


class BrokenStr(Exception):  # noqa: N818
    """Cannot even be shown."""

    def __str__(self) -> str:
        msg = "broken"
        raise OwnError(msg)


class NoStr(Exception):  # noqa: N818
    """Shows something that is no str."""

    def __str__(self) -> Any:
        return cast("Any", 5)


class Fatal(Exception):  # noqa: N818
    """Ends the interpreter when shown."""

    def __str__(self) -> str:
        raise SystemExit


class StrangeText(str):
    """A str that cannot be handled like one."""

    __slots__ = ()

    def __len__(self) -> int:
        raise OwnError

    def __getitem__(self, key: object) -> str:
        raise OwnError

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        raise OwnError


class Strange(Exception):  # noqa: N818
    """Shows a strange text."""

    def __str__(self) -> str:
        return StrangeText("strange")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BrokenStr(), "<str() of this BrokenStr raised OwnError>"),
        (NoStr(), "<str() of this NoStr raised TypeError>"),
        (Fatal(), "<str() of this Fatal raised SystemExit>"),
        (Strange(), "strange"),
    ],
)
def test_exceptions_that_cannot_be_shown_are_kept(error: Exception, message: str) -> None:
    assert kept(raised(error)).message == message


@pytest.mark.parametrize("notes", [5, "text", [1, BrokenStr()], ("a",), None])
def test_notes_of_any_kind_do_no_harm(notes: Any) -> None:
    error = ValueError("x")
    error.__notes__ = notes
    assert kept(raised(error)).message == "x"


def test_characters_that_utf8_cannot_carry_are_escaped() -> None:
    info = kept(raised(ValueError("a\ud800\0😀")))
    assert info.message == "a\\ud800\0😀"
    assert "\\ud800" in info.traceback


def test_everything_is_bounded_and_keeps_head_and_tail() -> None:
    class Long(Exception):  # noqa: N818
        pass

    Long.__qualname__ = "L" * 10_000
    error = Long("head " + "é\ud800" * 1_000_000 + " tail")
    error.__notes__ = ["n" * 10_000] * 1000
    info = kept(raised(error))
    assert MAX_TYPE - 10 < len(info.type) <= MAX_TYPE
    assert len(info.message) <= MAX_MESSAGE
    assert info.message.startswith("head é")
    assert info.message.endswith(" tail")
    left = info.message.count("é") + info.message.count("ud800") + len("head  tail")
    assert f"[… {2_000_010 - left} characters left out …]" in info.message
    assert len(info.traceback) <= MAX_TRACEBACK
    assert info.traceback.startswith("Traceback (most recent call last):")
    assert len(info.notes) == MAX_NOTES
    assert all(MAX_NOTE - 10 < len(note) <= MAX_NOTE for note in info.notes)
    assert len(info.encode()) < 200_000


def test_how_much_is_missing_is_told() -> None:
    message = ErrorInfo("t", "x" * (MAX_MESSAGE + 1000)).message
    left = message.count("x")
    assert f"[… {MAX_MESSAGE + 1000 - left} characters left out …]" in message


def test_endless_recursion_can_be_kept() -> None:
    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as error:
        info = kept(error)
        assert info.type_name == "RecursionError"
        assert len(info.traceback) < 3000


def test_a_chain_of_thousands_of_causes_can_be_kept() -> None:
    error: BaseException = ValueError("innermost")
    for number in range(3000):
        outer = OwnError(str(number))
        outer.__cause__ = error
        error = outer
    assert kept(error).message == "2999"


@settings(deadline=None)
@given(
    info=st.builds(
        ErrorInfo,
        type=st.text(),
        message=st.text(st.characters()),
        traceback=st.text(),
        retryable=st.booleans(),
        notes=st.lists(st.text(), max_size=20).map(tuple),
    )
)
def test_what_is_encoded_comes_back(info: ErrorInfo) -> None:
    assert ErrorInfo.decode(info.encode()) == info


@settings(deadline=None)
@given(data=st.binary())
def test_foreign_bytes_are_shown(data: bytes) -> None:
    info = ErrorInfo.decode(data)
    assert info == ErrorInfo("unknown", data.decode("utf-8", "backslashreplace"))


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b'{"type":"x"}',
        b'{"type":1,"message":"x"}',
        b"[" * 100_000,
        b"9" * 10_000,
        b"",
        b"\xff\x00",
    ],
)
def test_foreign_json_is_shown(data: bytes) -> None:
    assert ErrorInfo.decode(data).type == "unknown"


def test_fields_of_other_types_and_later_fields_are_ignored() -> None:
    data = b'{"v":9,"type":"a","message":"b","traceback":1,"retryable":"yes","notes":[1,"n"],"x":1}'
    assert ErrorInfo.decode(data) == ErrorInfo("a", "b", notes=("n",))
    assert ErrorInfo.decode(b'{"type":"a","message":"b","notes":5}') == ErrorInfo("a", "b")
