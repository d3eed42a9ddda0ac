from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

T = TypeVar('T')


def on_main_process(action: Callable[[], T]) -> T:
    """Do something on rank 0 alone, and let every rank know how it ended.

    No rank goes on before it is done: one that left the program meanwhile would make
    the launcher end rank 0, too, in the middle of it.

    Args:
        action (Callable): Called on rank 0. Its result must be picklable.

    Returns:
        What the action returned, on every rank.

    Raises:
        Exception: What the action raised; on the other ranks a RuntimeError with
            the same words.
    """
    outcome: list = [None, None]
    caught = None
    if is_main_process():
        try:
            outcome[0] = action()
        except Exception as error:
            caught, outcome[1] = error, str(error) or type(error).__name__
    broadcast_object_list(outcome)
    if caught is not None:
        raise caught
    if outcome[1] is not None:
        raise RuntimeError(f'On rank 0: {outcome[1]}')
    return outcome[0]
