"""Bring downloads into their layouts: unpacking, converters, checks; all of it or nothing."""
