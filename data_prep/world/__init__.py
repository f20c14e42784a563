"""A drawn world of pedestrians, in which the right answer is known for every pixel."""
