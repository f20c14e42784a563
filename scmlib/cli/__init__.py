"""The command line, `scm`: one module a chapter of commands."""
