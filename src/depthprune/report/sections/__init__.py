"""What there is to say about each finding, as values; see `report/table.py`."""
