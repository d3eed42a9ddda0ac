"""How checks say what is wrong."""


def refuse(complaints: list[str]) -> None:
    """Raise all complaints as one error, if there are any.

    Args:
        complaints (list[str]): One sentence or more each.

    Raises:
        ValueError: With one complaint per line.
    """
    if complaints:
        raise ValueError('\n  '.join(['The settings cannot be right.', *complaints]))
