"""`python -m scmlib` is `scm`."""

from scmlib.cli import main

if __name__ == "__main__":
    main()
