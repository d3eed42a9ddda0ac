"""The nearest right name of a misspelt one."""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Find the names that a slip of the fingers could have turned into a word.

    Args:
        word (str): The word that came.
        known (Iterable[str]): The right names.

    Returns:
        list[str]: Those at the smallest distance, sorted; none if all are further
        than one slip, or two in words of nine letters or more. Case does not count.
    """
    reach = 1 if len(word) < 9 else 2
    slips = {
        name: count_slips(word.lower(), name.lower())
        for name in known
        if abs(len(word) - len(name)) <= reach
    }
    fewest = min(slips.values(), default=reach + 1)
    return sorted(name for name, count in slips.items() if count == fewest <= reach)


def count_slips(one: str, other: str) -> int:
    """Letters left out, added, replaced or swapped with their neighbour.

    The distance of Damerau and Levenshtein, in the form that touches no letter twice.

    Args:
        one (str): A word.
        other (str): Another.

    Returns:
        int: 0 or more.
    """
    before, last = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(last[j] + 1, row[-1] + 1, last[j - 1] + (letter != wanted))
            swapped = i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted)
            row.append(min(cost, before[j - 2] + 1) if swapped else cost)
        before, last = last, row
    return last[-1]
