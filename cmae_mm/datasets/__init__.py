from .fast_views import FastMasterCrop, TwoViews
from .pixel_shift import PixelShift
from .sampling import EndlessBatchSampler, SeededSampler

__all__ = [
    'EndlessBatchSampler',
    'FastMasterCrop',
    'PixelShift',
    'SeededSampler',
    'TwoViews',
]
