"""Speed and memory side by side with a baseline: `make bench`. Nothing here asserts a time."""
