"""Options of tasks and enqueues are checked where they are written."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from durable_core.errors import DurableError, OptionError
from durable_core.options import EnqueueOptions, RetryPolicy, TaskOptions


class TestTaskOptions:
    def test_the_defaults(self) -> None:
        assert TaskOptions.build() == TaskOptions(
            retries=RetryPolicy(0),
            timeout_us=None,
            deadline_us=None,
            delay_us=0,
            priority=0,
            queue="default",
            tags=frozenset(),
        )

    def test_everything_is_taken(self) -> None:
        options = TaskOptions.build(
            retries=3,
            timeout=timedelta(minutes=1),
            deadline=0.5,
            delay=2,
            priority=-1000,
            queue="q" * 191,
            tags=(word for word in ["a", "b", "a"]),
        )
        assert options == TaskOptions(
            retries=RetryPolicy(3),
            timeout_us=60_000_000,
            deadline_us=500_000,
            delay_us=2_000_000,
            priority=-1000,
            queue="q" * 191,
            tags=frozenset({"a", "b"}),
        )

    def test_what_is_not_given_stays_as_the_base_says(self) -> None:
        base = TaskOptions.build(
            retries=RetryPolicy(2, delay=7), timeout=1, deadline=2, delay=3, priority=4, queue="q"
        )
        assert TaskOptions.build(base=base) == base
        changed = TaskOptions.build(base=base, priority=5, delay=0)
        assert changed.priority == 5
        assert changed.delay_us == 0
        assert changed.timeout_us == 1_000_000
        assert changed.queue == "q"

    def test_a_number_of_retries_keeps_the_delays_of_the_base(self) -> None:
        base = TaskOptions.build(retries=RetryPolicy(2, delay=7))
        assert TaskOptions.build(base=base, retries=5).retries == RetryPolicy(5, delay=7)
        assert TaskOptions.build(base=base, retries=RetryPolicy(5)).retries == RetryPolicy(5)

    def test_tags_are_added_to_those_of_the_base(self) -> None:
        base = TaskOptions.build(tags={"a"})
        assert TaskOptions.build(base=base, tags=["b"]).tags == {"a", "b"}
        assert TaskOptions.build(base=base, tags=()).tags == {"a"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"retries": -1}, "retries must be between 0 and 1000000, not -1"),
            ({"retries": True}, "retries must be a number or a RetryPolicy, not bool: True"),
            ({"retries": "3"}, "retries must be a number or a RetryPolicy, not str: '3'"),
            ({"timeout": 0}, "timeout must be more than 0, not 0"),
            ({"timeout": -1}, "timeout must be between 0 and 100 years, not -1"),
            ({"deadline": 1e-9}, "deadline must be more than 0, not 1e-09"),
            (
                {"delay": None, "deadline": "1"},
                "deadline must be a timedelta or a number of seconds, not str: '1'",
            ),
            ({"priority": 1001}, "priority must be between -1000 and 1000, not 1001"),
            ({"priority": -1001}, "priority must be between -1000 and 1000, not -1001"),
            ({"priority": 1.0}, "priority must be a whole number, not float: 1.0"),
            ({"queue": ""}, "queue must have 1 to 191 characters, not 0: ''"),
            ({"queue": "q" * 192}, f"queue must have 1 to 191 characters, not 192: {'q' * 40!r}"),
            ({"queue": "a\0"}, "queue must not contain NUL: 'a\\x00'"),
            ({"queue": b"q"}, "queue must be a str, not bytes: b'q'"),
            (
                {"queue": "\ud800"},
                "queue is not valid Unicode (surrogates not allowed): '\\ud800'",
            ),
            ({"tags": "word"}, "tags must be a collection of words, not one str: 'word'"),
            ({"tags": 5}, "tags must be a collection of words, not int"),
            ({"tags": [1]}, "a tag must be a str, not int: 1"),
            ({"tags": [""]}, "a tag must have 1 to 64 characters, not 0: ''"),
            ({"tags": ["t" * 65]}, f"a tag must have 1 to 64 characters, not 65: {'t' * 40!r}"),
        ],
    )
    def test_bad_values_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(OptionError) as caught:
            TaskOptions.build(**options)
        assert str(caught.value) == message
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, DurableError)

    def test_too_many_tags_are_refused_together_with_those_of_the_base(self) -> None:
        base = TaskOptions.build(tags={str(number) for number in range(16)})
        with pytest.raises(OptionError, match="at most 16 tags are allowed, not 17: "):
            TaskOptions.build(base=base, tags=["more"])


class TestEnqueueOptions:
    def test_everything_is_taken(self) -> None:
        moment = datetime(2024, 2, 29, 12, 0, 0, 7, tzinfo=timezone(timedelta(hours=2)))
        options = EnqueueOptions(id="i" * 255, key="é" * 191, start_at=moment, group="g", meta=b"m")
        assert options.start_at_us == 1_709_200_800_000_007

    def test_start_times_are_microseconds_since_the_epoch(self) -> None:
        assert EnqueueOptions().start_at_us is None
        last = datetime.max.replace(tzinfo=UTC)
        assert EnqueueOptions(start_at=last).start_at_us == 253_402_300_799_999_999
        first = datetime.min.replace(tzinfo=UTC)
        assert EnqueueOptions(start_at=first).start_at_us == 0

    def test_options_are_put_in_place_of_others(self) -> None:
        options = EnqueueOptions(id="a", key="k")
        assert options.updated() is options
        assert options.updated(id="b", group="g") == EnqueueOptions(id="b", key="k", group="g")
        with pytest.raises(OptionError, match="key must have"):
            options.updated(key="")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"id": ""}, "id must be 1 to 255 printable ASCII characters without blanks: ''"),
            ({"id": "a b"}, "id must be 1 to 255 printable ASCII characters without blanks: 'a b'"),
            ({"id": 5}, "id must be a str, not int: 5"),
            ({"key": ""}, "key must have 1 to 191 characters, not 0: ''"),
            ({"key": 5}, "key must be a str, not int: 5"),
            ({"group": "\0"}, "group must not contain NUL: '\\x00'"),
            (
                {"start_at": datetime(2024, 1, 1)},  # noqa: DTZ001 - that is what is refused
                (
                    "start_at must have a time zone, datetime.datetime(2024, 1, 1, 0, 0) has none: "
                    "use datetime.now(timezone.utc) or .astimezone()"
                ),
            ),
            ({"start_at": 5}, "start_at must be a datetime, not int: 5"),
            ({"meta": "text"}, "meta must be bytes, not str"),
        ],
    )
    def test_bad_values_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(OptionError) as caught:
            EnqueueOptions(**options)
        assert str(caught.value) == message
