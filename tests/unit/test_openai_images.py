import pytest

from modelcore.errors import NotFound
from orchestrator.openai_images.links import LASTS_S, MOST_LINKS, Links
from orchestrator.openai_images.previews import preview_steps


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_link_leads_to_its_picture_until_its_hour_is_over() -> None:
    clock = Clock()
    links = Links(clock)
    token = links.make("ada", "picture")
    clock.now_s = LASTS_S - 1
    assert (links.follow(token).owner, links.follow(token).image_id) == ("ada", "picture")
    clock.now_s = LASTS_S
    with pytest.raises(NotFound):
        links.follow(token)


def test_old_links_make_room() -> None:
    links = Links(Clock())
    first, second, *_ = [links.make("ada", str(number)) for number in range(MOST_LINKS + 1)]
    with pytest.raises(NotFound):
        links.follow(first)
    assert links.follow(second).image_id == "1"


def test_two_links_of_a_picture_have_nothing_in_common() -> None:
    links = Links()
    assert links.make("ada", "picture") != links.make("ada", "picture")


@pytest.mark.parametrize(
    ("count", "steps", "expected"),
    [
        (0, 20, []),
        (1, 20, [10]),
        (2, 20, [7, 13]),
        (3, 20, [5, 10, 15]),
        (3, 7, [2, 4, 5]),
        (3, 2, [1]),
        (3, 1, []),
    ],
)
def test_previews_are_evenly_spread(count: int, steps: int, expected: list[int]) -> None:
    assert sorted(preview_steps(count, steps)) == expected
