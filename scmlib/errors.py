"""The one exception that a person's own input can raise."""


class BadInput(ValueError):
    """Something given from outside doesn't fit: a path, a file, a flag.

    The message is one sentence that names the file, the value and the way out; the command line prints it as it is
    and leaves with status 2.
    """
