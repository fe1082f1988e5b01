"""`python -m export`: the same as `triptych export`, without the rest of the console command."""

from export.command import main

if __name__ == "__main__":
    raise SystemExit(main())
