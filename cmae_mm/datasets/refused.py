"""The one error that speaks of an image, and not of the settings or the machine."""


class Refused(ValueError):
    """An image file that is not taken, with the reason.

    Whoever knows the path adds it; ``cmae_mm.QuarantineHook`` goes by this type.

    Args:
        reason (str): What is wrong with the file, and what would help.
        kind (str): The same in a word or two, to count by. Defaults to 'damaged'.
    """

    path = ''

    def __init__(self, reason: str, kind: str = 'damaged') -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind

    def __str__(self) -> str:
        return (
            f'{self.path} cannot be read: {self.reason}' if self.path else self.reason
        )


def printable(path: str) -> str:
    """A path that any log can take, also if its name is no valid UTF-8."""
    return path.encode('utf-8', 'backslashreplace').decode('utf-8')
