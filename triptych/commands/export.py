"""`triptych export FAMILY`: the command line is export's own."""

from export.command import HELP, add_arguments, run

__all__ = ["HELP", "add_arguments", "run"]
