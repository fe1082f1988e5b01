"""One pipe for every log line: JSON on standard output and, by setting, in a rotating app.log.

structlog's lines and those of plain `logging` (uvicorn's, grpc's) pass the same processors, so each has the same
fields and the id of the request it belongs to.
"""

import logging
import sys
from logging.handlers import RotatingFileHandler

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator.context import current_request
from orchestrator.settings import Settings

LOG_FILE = "app.log"


def configure_logging(settings: Settings) -> None:
    """Set up the whole process. Called by whoever owns the process, never by `create_app`."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handlers = _handlers(settings)
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(handlers=handlers, level=settings.log_level, force=True)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _handlers(settings: Settings) -> list[logging.Handler]:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if settings.log_folder is not None:
        settings.log_folder.mkdir(parents=True, exist_ok=True)
        handlers.append(
            RotatingFileHandler(
                settings.log_folder / LOG_FILE,
                maxBytes=settings.log_file_bytes,
                backupCount=settings.log_file_count,
                encoding="utf-8",
            )
        )
    return handlers


def _shared_processors() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
        structlog.processors.format_exc_info,
    ]


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = current_request.get().request_id
    if request_id:
        event["request_id"] = request_id
    return event
