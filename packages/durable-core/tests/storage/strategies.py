"""Values within the protocol's limits."""

from hypothesis import strategies as st

from durable_core.storage import NewExecution, OnCancel, Phase

ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=191
)
tags = st.frozensets(names.filter(lambda name: len(name) <= 64), max_size=16)
payloads = st.binary(max_size=100)
times = st.integers(0, 2**63 - 1)


@st.composite
def roots(draw: st.DrawFn) -> NewExecution:
    """Any execution that may be inserted."""
    sleeper = draw(st.booleans())
    return NewExecution(
        id=draw(ids),
        task=draw(names),
        queue=draw(names),
        group=draw(st.none() | names),
        key=draw(st.none() | names),
        wake_key=draw(names) if sleeper else None,
        root_id=draw(st.none() | ids),
        child_index=draw(st.integers(-1, 2**31 - 1)),
        on_cancel=draw(st.sampled_from(OnCancel)),
        tags=draw(tags),
        priority=draw(st.integers(-1000, 1000)),
        phase=Phase.SLEEPING if sleeper else Phase.READY,
        due=draw(st.none() | times),
        owner=draw(st.none() | ids.filter(lambda id_: len(id_) <= 64)),
        options=draw(payloads),
        meta=draw(payloads),
        input=draw(payloads),
        state=draw(st.none() | payloads),
    )
