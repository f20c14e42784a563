"""The one exception that a person's own input can raise."""


class BadInput(ValueError):
    """Something given from outside doesn't fit: a path, a file, a flag.

    The message is one sentence that names the file, the value and the way out; the command line prints it as it is
    and leaves with status 2.
    """

    def __init__(self, message: str):
        # A loader process hands over its whole traceback as the message; the sentence stands at its end.
        sentence = message.rpartition(f"{type(self).__name__}: ")[2].strip()
        # A file's name may hold a line break, even a terminal's control code: shown, not obeyed.
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence))
