"""Downloads: unpacked, converted to the layouts that `scmlib` reads, and checked before they appear."""
