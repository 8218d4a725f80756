"""What was measured, on disk: one SQLite file, and the documented result files as views of it."""
