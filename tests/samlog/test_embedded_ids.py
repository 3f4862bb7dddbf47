"""What one day's index may hold: an id that was added is never denied."""

from hypothesis import given
from hypothesis import strategies as st

from samlog.store.embedded_ids import Ids


@given(added=st.lists(st.text()), others=st.lists(st.text()))
def test_every_id_that_was_added_is_possible(added: list[str], others: list[str]) -> None:
    ids = Ids()
    ids.add(added)

    assert ids.possible(added) == added
    assert set(ids.possible(others)) >= set(others) & set(added)


def test_of_ids_that_were_not_added_next_to_none_is_possible() -> None:
    ids = Ids()
    ids.add(f"{n:032x}" for n in range(100_000))

    assert len(ids.possible([f"{n:032x}" for n in range(100_000, 200_000)])) < 100
