"""The part of the options that is stored with each execution."""

import pytest
from hypothesis import given, strategies as st

from durable_core.errors import OptionError
from durable_core.options import Policy, RetryPolicy, TaskOptions

US = st.integers(0, 2**60)


def test_what_is_stored() -> None:
    options = TaskOptions.build(
        retries=RetryPolicy(3, delay=1, multiplier=2, max_delay=60, jitter=0.5),
        timeout=5,
        deadline=3600,
    )
    assert Policy.of(options).encode() == (
        b'{"v":1,"retries":3,"delay_us":1000000,"multiplier":2.0,"max_delay_us":60000000,'
        b'"jitter":0.5,"timeout_us":5000000,"deadline_us":3600000000}'
    )


def test_what_stands_for_nothing_is_left_out() -> None:
    assert Policy.of(TaskOptions()).encode() == b'{"v":1}'
    assert Policy.of(TaskOptions.build(timeout=1)).encode() == b'{"v":1,"timeout_us":1000000}'


@given(
    policy=st.builds(
        Policy,
        retries=st.integers(0, 10**6),
        delay_us=US,
        multiplier=st.floats(1, 1000),
        max_delay_us=US,
        jitter=st.floats(0, 1),
        timeout_us=st.none() | US,
        deadline_us=st.none() | US,
    )
)
def test_what_is_encoded_comes_back(policy: Policy) -> None:
    assert Policy.decode(policy.encode()) == policy


def test_equal_bytes_are_decoded_once() -> None:
    data = Policy(retries=7).encode()
    assert Policy.decode(data) is Policy.decode(bytes(bytearray(data)))


def test_no_bytes_are_no_policy() -> None:
    assert Policy.decode(b"") == Policy()


def test_later_fields_are_ignored() -> None:
    assert Policy.decode(b'{"v":1,"retries":2,"colour":"red"}') == Policy(retries=2)


def test_a_later_version_is_refused() -> None:
    with pytest.raises(OptionError) as caught:
        Policy.decode(b'{"v":2}')
    assert str(caught.value) == (
        "the stored options have version 2, this release reads up to 1: upgrade this installation"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"v":0}',
        b'{"v":"1"}',
        b'{"v":true}',
        b'{"v":1,"retries":null}',
        b'{"v":1,"retries":"3"}',
        b'{"v":1,"retries":1.5}',
        b'{"v":1,"retries":-1}',
        b'{"v":1,"retries":true}',
        b'{"v":1,"delay_us":99999999999999999999}',
        b'{"v":1,"multiplier":NaN}',
        b'{"v":1,"multiplier":Infinity}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(OptionError, match="the stored options are not what durable wrote: b"):
        Policy.decode(data)
