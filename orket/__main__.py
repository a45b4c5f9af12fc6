"""`python -m orket` is `orket`."""

from orket.cli.main import main

if __name__ == "__main__":
    main()
