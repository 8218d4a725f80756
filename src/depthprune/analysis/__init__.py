"""Pure functions from measurements to findings; no torch. `collect` alone reads files.

`recommend.recommend` and `find.find` answer everything at once from one `ResultSet`.
"""
