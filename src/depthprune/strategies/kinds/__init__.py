"""The strategies, one in each file; a file that is added here is known everywhere."""
