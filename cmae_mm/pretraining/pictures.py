"""What lies in a folder of images."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cmae_mm.datasets.headers import read_header
from cmae_mm.datasets.refused import Refused

# Images whose size is looked at.
_SAMPLED = 64


@dataclass(frozen=True)
class Pictures:
    """A folder of images.

    Args:
        folder (str): Its absolute path.
        count (int): How many images there are, at any depth.
        short_side (int): Median of their shorter sides, in pixels.
    """

    folder: str
    count: int
    short_side: int


def look_at(folder: Path) -> Pictures:
    """Count the images below a folder, and look at the size of some of them.

    Args:
        folder (Path): With images at any depth.

    Returns:
        Pictures: Images as :class:`cmae_mm.UnlabelledImages` finds them.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is a file, holds fewer than 2 images, or none of those
            looked at can be read.
    """
    from cmae_mm.datasets.image_folder import UnlabelledImages

    if folder.is_file():
        raise ValueError(
            f'{folder} is a file; a folder is expected. Give the folder with your '
            'images. (What lies in archives: docs/large-data.md)'
        )
    if not folder.is_dir():
        raise FileNotFoundError(f'There is no folder {folder} (looked in {Path.cwd()})')
    images = UnlabelledImages(str(folder.resolve()), pipeline=[])
    count = len(images)
    if count < 2:
        raise ValueError(
            f'There is 1 image below {folder}. The contrastive loss compares an image '
            'with others: 2 are needed, and some hundreds to learn from.'
        )
    step = -(-count // _SAMPLED)
    paths = [images.get_data_info(i)['img_path'] for i in range(0, count, step)]
    return Pictures(str(folder.resolve()), count, _median_side(folder, paths))


def _median_side(folder: Path, paths: list[str]) -> int:
    """Median of the shorter sides of those that can be read."""
    sides, reason = [], ''
    for path in paths:
        try:
            header = read_header(Path(path).read_bytes())
            sides.append(min(header.height, header.width))
        except (Refused, OSError) as error:
            reason = f'{Path(path).name}: {error}'
    if not sides:
        raise ValueError(
            f'None of the {len(paths)} images looked at below {folder} can be read '
            f'({reason}). cmae scan {folder} looks at all of them.'
        )
    return round(median(sides))
