"""``scenes``: a small, generated, licence-free data set of labelled shapes.

Every picture is computed from a seed: objects of six shape classes lie on
procedurally textured backgrounds, under varying light, scale, rotation and
occlusion. As with real things, an object's outline tells what it is; so does,
most of the time, its surface: nine of ten objects wear the pattern their class
is known for, and seven of ten its hue. Backgrounds and clutter have any colour,
so the colour of the whole picture tells little.

Two subsets are written, each with a ``train`` and a ``val`` split:

.. code-block:: text

    OUT
    ├── classification              one main object per picture
    │   ├── train/<class>/000000.jpg
    │   └── val/<class>/000000.jpg
    ├── scenes                      one to four objects per picture
    │   ├── images/{train,val}/000000.jpg
    │   ├── labels/{train,val}/000000.png       0 background, 1..6 classes
    │   └── annotations/instances_{train,val}.json              COCO format
    └── meta.json                   parameters, counts, fingerprint

The ideas, one per file, in the order in which they build on each other:
``classes``; ``shapes``, then ``placement``; ``textures`` and ``colours``, then
``painting``; ``drawing`` of one scene; ``coco`` annotations; ``writing`` of a data
set. ``shortcuts`` measures a finished one. They need numpy, OpenCV and Pillow only.
"""

from .classes import CLASSES, PALETTE
from .coco import mask_to_polygons
from .drawing import GENERATOR_VERSION, MIN_SIZE, Instance, Scene, draw_scene
from .placement import SCENE_LAYOUT, SINGLE_LAYOUT, Layout
from .shortcuts import measure_shortcuts
from .writing import generate_scenes

__all__ = [
    'CLASSES',
    'GENERATOR_VERSION',
    'MIN_SIZE',
    'PALETTE',
    'SCENE_LAYOUT',
    'SINGLE_LAYOUT',
    'Instance',
    'Layout',
    'Scene',
    'draw_scene',
    'generate_scenes',
    'mask_to_polygons',
    'measure_shortcuts',
]
