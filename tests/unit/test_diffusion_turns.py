from collections.abc import Hashable
from dataclasses import dataclass

from modelcore.diffusion.turns import Turns


@dataclass(eq=False)
class Picture:
    name: str
    group: Hashable = "small"
    slots: int = 1


def four_slots(_: Hashable) -> int:
    return 4


def turns_of(*pictures: Picture) -> Turns[Picture]:
    turns: Turns[Picture] = Turns()
    for picture in pictures:
        turns.join(picture)
    return turns


def names_of_next(turns: Turns[Picture]) -> list[str]:
    return [picture.name for picture in turns.next(four_slots)]


def shares(turns: Turns[Picture], cost_s: dict[str, float], calls: int) -> dict[Hashable, float]:
    """Seconds of the machine that each group got in so many calls."""
    got: dict[Hashable, float] = dict.fromkeys(cost_s, 0.0)
    for _ in range(calls):
        group = turns.next(four_slots)[0].group
        turns.charge(group, cost_s[str(group)])
        got[group] += cost_s[str(group)]
    return got


def test_nobody_shares_a_call_when_nobody_is_there() -> None:
    assert names_of_next(turns_of()) == []


def test_members_of_one_group_share_a_call_up_to_its_slots() -> None:
    assert names_of_next(turns_of(*(Picture(name) for name in "abcde"))) == ["a", "b", "c", "d"]


def test_whoever_stepped_longest_ago_goes_first() -> None:
    turns = turns_of(*(Picture(name) for name in "abcde"))
    names_of_next(turns)
    assert names_of_next(turns) == ["e", "a", "b", "c"]


def test_a_narrow_member_fills_what_is_too_small_for_a_wide_one() -> None:
    turns = turns_of(Picture("a", slots=2), Picture("b"), Picture("wide", slots=2), Picture("c"))
    assert names_of_next(turns) == ["a", "b", "c"]


def test_a_wide_member_that_was_passed_stands_in_front_next_time() -> None:
    turns = turns_of(Picture("a", slots=2), Picture("b"), Picture("wide", slots=2), Picture("c"))
    names_of_next(turns)
    assert names_of_next(turns)[0] == "wide"


def test_members_of_two_groups_never_share_a_call() -> None:
    assert names_of_next(turns_of(Picture("a"), Picture("b", group="large"))) == ["a"]


def test_a_group_whose_calls_take_ten_times_as_long_gets_one_call_in_eleven() -> None:
    turns = turns_of(Picture("a", group="small"), Picture("b", group="large"))
    got = shares(turns, {"small": 0.1, "large": 1.0}, calls=110)
    assert got["large"] / 1.0 == 10


def test_every_member_gets_the_same_share_of_the_machine() -> None:
    turns = turns_of(*(Picture(str(n), group="small") for n in range(4)), Picture("b", group="large"))
    got = shares(turns, {"small": 0.25, "large": 0.25}, calls=100)
    assert got["small"] == 4 * got["large"]


def test_having_been_away_earns_no_credit() -> None:
    turns = turns_of(Picture("a", group="small"))
    shares(turns, {"small": 1.0}, calls=100)
    turns.join(Picture("b", group="late"))
    got = shares(turns, {"small": 1.0, "late": 1.0}, calls=10)
    assert got == {"small": 5.0, "late": 5.0}


def test_leaving_and_coming_back_does_not_reset_what_was_used() -> None:
    hog = Picture("hog", group="large")
    turns = turns_of(hog, Picture("a", group="small"))
    turns.charge(turns.next(four_slots)[0].group, 10.0)
    turns.leave(hog)
    turns.join(hog)
    assert shares(turns, {"small": 1.0, "large": 1.0}, calls=9) == {"small": 9.0, "large": 0.0}


def test_groups_that_are_gone_are_forgotten() -> None:
    turns = turns_of()
    for number in range(1000):
        picture = Picture("passing", group=number)
        turns.join(picture)
        turns.next(four_slots)
        turns.leave(picture)
        turns.charge(number, 1.0)
    assert len(turns._clocks) < 10
