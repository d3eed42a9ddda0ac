from .fast_views import FastMasterCrop, TwoViews
from .loading import LoadMultibandImage
from .only_rgb import OnlyRGB
from .pixel_shift import PixelShift
from .sampling import EndlessBatchSampler, SeededSampler

# UnlabelledImages stands in image_folder, ArchiveImages in archive_images, which the
# registry imports when a config asks for them: they need mmpretrain, and the generator
# of `scenes` does not.
__all__ = [
    'EndlessBatchSampler',
    'FastMasterCrop',
    'LoadMultibandImage',
    'OnlyRGB',
    'PixelShift',
    'SeededSampler',
    'TwoViews',
]
