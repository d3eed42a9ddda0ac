"""Pre-training on a folder of images, with settings that fit the images."""

from .run import pretrain

__all__ = ['pretrain']
