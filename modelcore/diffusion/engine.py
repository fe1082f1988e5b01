"""The thread in which all rows in flight share their steps. Knows when to tick; `table.py` knows what a tick is."""

import threading

from modelcore.diffusion.call_sizes import CallSize
from modelcore.diffusion.events import NoObserver, Observer
from modelcore.diffusion.faults import as_triptych_error
from modelcore.diffusion.table import Denoise, RowListener, Table, TableRow
from modelcore.errors import Unavailable


class Engine:
    """Takes rows from any thread; a row joins at the next tick. How many there may be is for the caller to bound."""

    def __init__(
        self,
        denoise: Denoise,
        *,
        call_size: CallSize,
        observer: Observer | None = None,
        name: str = "diffusion",
    ) -> None:
        self._table = Table(denoise, call_size=call_size, observer=observer or NoObserver())
        self._arrivals: list[tuple[TableRow, RowListener]] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=f"{name}-engine", daemon=True)
        self._thread.start()

    def submit(self, row: TableRow, listener: RowListener) -> None:
        """After `close` has begun, the row fails at once."""
        with self._changed:
            if not self._is_closing:
                self._arrivals.append((row, listener))
                self._changed.notify()
                return
        listener.failed(_stopping())

    def close(self) -> None:
        """Returns once the call that is under way has ended; what is not done by then fails."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._admit():
            try:
                self._table.tick()
            except Exception as error:
                # The edge of the thread, on which everybody's pictures depend: it must go on for the next ones.
                self._table.end(as_triptych_error(error))
        self._table.end(_stopping())

    def _admit(self) -> bool:
        """Waits for work and seats whoever has come; False when it is time to go."""
        with self._changed:
            while not (self._arrivals or len(self._table) or self._is_closing):
                self._changed.wait()
            arrivals, self._arrivals = self._arrivals, []
            is_closing = self._is_closing
        for row, listener in arrivals:
            self._table.join(row, listener)
        return not is_closing


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; ask again once it is back", retry_after_s=10)
