"""`python -m lingolite_cli` is `lingolite`."""

from lingolite_cli.app import main

if __name__ == "__main__":
    main()
