"""From which config one of our commands has composed another."""

from pathlib import Path

from mmengine.config import Config

# Its name stands under this one in the config that was composed.
COMPOSED_FROM = 'composed_from'


def origin_of(cfg: Config) -> str:
    """The name of the config that another is being composed from.

    Args:
        cfg (Config): As read from a file, and changed since. If that file was composed
            itself, its own origin counts.

    Returns:
        str: The name of its file without the ending.
    """
    return cfg.get(COMPOSED_FROM) or Path(cfg.filename).stem
