"""The numbers of indexed Jobs."""

from hypothesis import given
from hypothesis import strategies as st

from kubernaut.devcluster.workloads.indexes import dump, next_indexes, parse

NUMBERS = st.sets(st.integers(0, 60))


@given(NUMBERS)
def test_what_is_written_is_read_again_and_written_once_only(numbers: set[int]) -> None:
    assert parse(dump(numbers)) == numbers
    assert dump(parse(dump(numbers))) == dump(numbers)


@given(NUMBERS, st.integers(0, 9))
def test_the_next_are_the_lowest_that_are_free(taken: set[int], wanted: int) -> None:
    found = next_indexes(wanted, taken)
    assert len(found) == wanted
    assert not set(found) & taken
    assert set(range(max(found, default=0))) <= taken | set(found)


def test_runs_are_written_by_their_ends() -> None:
    assert dump([7, 5, 4, 3, 1]) == "1,3-5,7"
    assert dump([0, 1]) == "0-1"
    assert dump([]) == ""
