"""A bounded dictionary makes each value once and never holds more than it may."""

from normalize.bounded import Bounded


def test_a_value_is_made_once() -> None:
    values = iter((6, 7))
    kept: Bounded[int, int] = Bounded(lambda _: next(values), 4, lambda _: True)
    assert [kept[3], kept[3]] == [6, 6]


def test_it_is_emptied_rather_than_growing_beyond_its_size() -> None:
    kept: Bounded[int, int] = Bounded(lambda key: key, 4, lambda _: True)
    for key in range(100):
        assert kept[key] == key
        assert len(kept) <= 4


def test_a_key_that_does_not_fit_gets_its_value_and_is_not_kept() -> None:
    kept: Bounded[str, int] = Bounded(len, 4, lambda key: len(key) < 3)
    assert kept["long"] == 4
    assert not kept
