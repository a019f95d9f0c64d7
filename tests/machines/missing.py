"""What a row needs and this machine has not."""


class Missing(Exception):
    """The row is skipped, and its text says why. With --require it fails instead."""
