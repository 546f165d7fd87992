"""`python -m limitbench`."""

from limitbench.cli import main

if __name__ == "__main__":
    main()
