class UsageError(ValueError):
    """What was asked for cannot be done: another argument is needed."""


class ConversionError(RuntimeError):
    """A file cannot be converted, or came out with other features."""
