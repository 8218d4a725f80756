"""`python -m depthprune`."""

from depthprune.cli.app import main

if __name__ == "__main__":
    main()
