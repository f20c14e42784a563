"""The one exception that a person's own input can raise, and what the machine's own limits look like."""


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


class BadImage(BadInput):
    """An image file that is missing or can't be decoded."""


def ran_out(error: BaseException) -> str:
    """What of the machine ran out, told of an error of torch or of the system; empty if it means something else."""
    said = str(error)
    if "DataLoader worker" in said and ("killed by signal" in said or "exited unexpectedly" in said):
        return "a process that reads images was killed, most likely because memory ran out"
    memory = ("out of memory", "not enough memory", "can't allocate memory", "Cannot allocate memory", "ALLOC_FAILED")
    if isinstance(error, MemoryError) or any(words in said for words in memory):
        return "memory ran out"
    return ""
