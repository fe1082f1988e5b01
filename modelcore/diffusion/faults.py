"""What a caller may hear of an exception nobody foresaw: a number under which the log tells the story."""

import logging
import uuid

from modelcore.errors import InternalFault, TriptychError

_log = logging.getLogger(__name__)


def as_triptych_error(error: Exception) -> TriptychError:
    """Our own errors as they are; any other is logged, for it would show its insides to a stranger."""
    if isinstance(error, TriptychError):
        return error
    fault = InternalFault(f"internal fault {uuid.uuid4().hex[:12]}; the server's log tells more")
    _log.error("%s", fault.detail, exc_info=error)
    return fault
