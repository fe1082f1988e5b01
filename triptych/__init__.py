"""The `triptych` console command."""
