"""The sequence service: numbers that arrive once, in order, wherever the line is cut."""
