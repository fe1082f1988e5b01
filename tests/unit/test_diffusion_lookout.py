import threading
import weakref

from modelcore.diffusion.lookout import Lookout


class Watched:
    def __init__(self) -> None:
        self.looks = threading.Semaphore(0)

    def look(self) -> None:
        self.looks.release()

    def wait(self, looks: int) -> bool:
        return all(self.looks.acquire(timeout=10) for _ in range(looks))


def test_who_is_watched_is_looked_at_again_and_again() -> None:
    lookout, watched = Lookout(), Watched()
    lookout.watch(watched.look)
    assert watched.wait(3)
    lookout.close()


def test_one_that_cannot_be_looked_at_keeps_the_others_from_nothing() -> None:
    def fails() -> None:
        raise RuntimeError("nobody there")

    lookout, watched = Lookout(), Watched()
    lookout.watch(fails)
    lookout.watch(watched.look)
    assert watched.wait(2)
    lookout.close()


def test_who_is_forgotten_is_looked_at_no_more() -> None:
    lookout, forgotten, watched = Lookout(), Watched(), Watched()
    lookout.watch(forgotten.look)
    assert forgotten.wait(1)
    lookout.forget(forgotten.look)
    lookout.watch(watched.look)
    assert watched.wait(1)  # what had begun is over
    while forgotten.looks.acquire(blocking=False):
        pass
    assert watched.wait(2)
    assert not forgotten.looks.acquire(blocking=False)
    lookout.close()


def test_who_is_forgotten_is_held_no_more() -> None:
    """Triton cannot unload a model while anybody holds one of its requests."""
    lookout, forgotten, gone = Lookout(), Watched(), threading.Event()
    weakref.finalize(forgotten, gone.set)
    lookout.watch(forgotten.look)
    assert forgotten.wait(1)
    lookout.forget(forgotten.look)
    del forgotten
    assert gone.wait(10)
    lookout.close()


def test_closing_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    Lookout().close()
    assert set(threading.enumerate()) <= before
