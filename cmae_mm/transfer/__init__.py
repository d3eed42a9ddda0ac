"""Transfer to a user's own data: behind ``cmae probe``, ``segment`` and ``detect``.

``encoder`` reads the architecture off a checkpoint; ``class_folders``, ``label_maps``
and ``coco_data`` look at the data before anything is trained; ``probe``, ``upernet``
and ``mask_rcnn`` compose a config from the packaged ones (``recipes``); ``running``
trains, tests and resumes it; ``examples`` draws what it finds. mmsegmentation and
mmdetection are imported by the runner of such a config, not by the code here.
"""
