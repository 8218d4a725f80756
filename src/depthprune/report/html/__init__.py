"""`report.html`: one file that answers, shows and lets one try removals, without any network."""
