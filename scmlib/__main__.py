"""`python -m scmlib` is `scm`."""

from scmlib.cli.main import main

if __name__ == "__main__":
    main()
