"""Renderers of tables and sections, one for each format; they know nothing of findings."""
