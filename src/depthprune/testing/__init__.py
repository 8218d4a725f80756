"""Suites that hold the contracts of what users may write themselves; run them in your own tests."""
