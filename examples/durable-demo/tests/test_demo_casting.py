from durable_demo.casting import choose, draw, fraction

NAMES = [f"file-{number}.md" for number in range(80)]


def test_the_same_seed_gives_the_same_parts() -> None:
    assert draw(7, NAMES) == draw(7, NAMES)
    assert draw(7, NAMES) != draw(8, NAMES)


def test_one_file_in_eight_is_flaky_and_one_is_silent() -> None:
    cast = draw(7, NAMES)

    assert len(cast.hiccups) == 10
    assert set(cast.hiccups.values()) == {1, 2}
    assert cast.hiccups.keys() <= set(NAMES)
    assert cast.silent in NAMES


def test_a_single_file_plays_all_parts() -> None:
    cast = draw(1, ["only.md"])

    assert list(cast.hiccups) == ["only.md"]
    assert cast.silent == "only.md"


def test_the_parts_do_not_depend_on_other_files() -> None:
    everybody, fewer = draw(3, NAMES), draw(3, NAMES[:79])

    shared = everybody.hiccups.keys() & fewer.hiccups.keys()
    assert len(shared) >= 9
    assert all(everybody.hiccups[name] == fewer.hiccups[name] for name in shared)


def test_fractions_are_spread_from_zero_to_one() -> None:
    values = sorted(fraction(1, "any", name) for name in NAMES)

    assert 0 <= values[0] < 0.1
    assert 0.9 < values[-1] < 1


def test_choosing_keeps_the_order_and_follows_the_seed() -> None:
    chosen = choose(1, NAMES, 10)

    assert len(set(chosen)) == 10
    assert list(chosen) == sorted(chosen)
    assert chosen != choose(2, NAMES, 10)
    assert choose(1, NAMES, 500) == tuple(sorted(NAMES))
