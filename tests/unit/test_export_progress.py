import io
import re

from export.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_away_from_a_terminal_each_stage_is_a_plain_line() -> None:
    stream = io.StringIO()
    with Progress("tiny", 2, stream) as progress:
        progress.stage("clip_text", "loading")
        progress.done("clip_text", "done")
    lines = [re.sub(r" +[\d.]+ s", " S", line) for line in stream.getvalue().splitlines()]
    assert lines == ["[ S] 0/2 tiny clip_text: loading", "[ S] 1/2 tiny clip_text: done"]


def test_on_a_terminal_a_bar_lives_on_one_line_and_is_gone_at_the_end() -> None:
    stream = Terminal()
    with Progress("tiny", 2, stream) as progress:
        progress.done("clip_text", "done")
        progress.stage("clip_image", "loading")
    assert "\r\033[K[##########----------] 1/2" in stream.getvalue()
    assert stream.getvalue().endswith("\r\033[K")
