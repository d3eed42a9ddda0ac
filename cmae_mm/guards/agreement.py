import torch
import torch.distributed as dist
from mmengine.dist import get_world_size


class Agreement:
    """Makes what one rank knows known to all of them, at the same step.

    The maximum over the ranks of one small number, over gloo, started at the end of a
    step and read at the end of the next. In between it travels while the ranks train,
    so that none waits for it, and no GPU is asked. The price of that is one step of
    delay. To be built, and called, on all ranks; with a single process nothing is sent.
    """

    def __init__(self) -> None:
        self._group = dist.new_group(backend='gloo') if get_world_size() > 1 else None
        self._under_way: tuple[torch.Tensor, dist.Work] | None = None

    def exchange(self, number: int) -> int:
        """Give a number; get the largest one that was given at the call before.

        Args:
            number (int): At least 0.

        Returns:
            int: Equal on all ranks; 0 at the first call. With a single process, the
            number itself.
        """
        if self._group is None:
            return number
        largest = self.finish()
        given = torch.tensor([number])
        work = dist.all_reduce(given, dist.ReduceOp.MAX, self._group, async_op=True)
        self._under_way = given, work
        return largest

    def finish(self) -> int:
        """Wait for the exchange under way; the largest number, 0 if there is none."""
        if self._under_way is None:
            return 0
        (largest, work), self._under_way = self._under_way, None
        work.wait()
        return int(largest)
