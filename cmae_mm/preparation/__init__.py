"""From the official archives to the folders that the configs expect.

One file per idea: ``archives`` reads tar and zip, ``extraction`` writes what is
missing of them, ``progress`` shows how far it is, ``checking`` decodes a sample and
holds the findings, and ``imagenet``, ``ade20k`` and ``coco`` know one data set each.
Every one of these three has:

- ``DEFAULT_OUT``, where the configs look;
- ``ARCHIVES``, the names of the official files, and where they come from;
- ``EXPECTED``, the official numbers;
- ``looks_like(folder)``, ``prepare(archives, out, expected)`` and
  ``check(out, sample, expected)``.

Nothing is downloaded, and nothing that is in an archive is run.
"""

from . import ade20k, coco, imagenet
from .archives import ArchiveError

DATASETS = {'imagenet': imagenet, 'ade20k': ade20k, 'coco': coco}

__all__ = ['DATASETS', 'ArchiveError']
