"""What a cache says of the residual stream."""


class Decomposition:
    """Filled in below."""
