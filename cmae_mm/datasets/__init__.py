from .fast_views import FastMasterCrop, TwoViews
from .load_image import LoadImage
from .loading import LoadMultibandImage
from .normalize_bands import NormalizeBands
from .only_rgb import OnlyRGB
from .pixel_shift import PixelShift
from .sampling import EndlessBatchSampler, SeededSampler

# UnlabelledImages stands in image_folder, which the registry imports when a config
# asks for it: it needs mmpretrain, and the generator of `scenes` does not.
__all__ = [
    'EndlessBatchSampler',
    'FastMasterCrop',
    'LoadImage',
    'LoadMultibandImage',
    'NormalizeBands',
    'OnlyRGB',
    'PixelShift',
    'SeededSampler',
    'TwoViews',
]
