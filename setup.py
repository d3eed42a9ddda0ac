"""Packaging of cmae_mm.

mim and mmengine look for `cmae_mm/.mim` with configs, tools and model-index.yml,
to run `mim train cmae_mm ...` or `mim search cmae_mm`. A wheel gets copies, an
editable install gets links to the folders of this repository.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

HERE = Path(__file__).resolve().parent
MIM_PARTS = ('configs', 'tools', 'model-index.yml')


def remove(path):
    """Remove a link, a file or a folder, or nothing."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def copy_parts(target):
    """Copy the parts that exist into a `.mim` folder."""
    remove(target)
    target.mkdir(parents=True)
    for name in MIM_PARTS:
        source = HERE / name
        if source.is_dir():
            leave_out = shutil.ignore_patterns('__pycache__', '*.pyc')
            shutil.copytree(source, target / name, ignore=leave_out)
        elif source.is_file():
            shutil.copy(source, target / name)


def link_parts():
    """Link the parts into `cmae_mm/.mim`, also those still to be written."""
    target = HERE / 'cmae_mm' / '.mim'
    remove(target)
    target.mkdir()
    try:
        for name in MIM_PARTS:
            (target / name).symlink_to(Path('..', '..', name))
    except OSError:  # Windows allows links only in developer mode
        copy_parts(target)


class BuildPy(build_py):
    """Also fills `.mim`; runs for wheels and for `pip install -e`."""

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):
            link_parts()
        else:
            copy_parts(Path(self.build_lib) / 'cmae_mm' / '.mim')


class Develop(develop):
    """`python setup.py develop`, which does not pass through build_py."""

    def run(self):
        link_parts()
        super().run()


def read_requirements(name):
    """List the lines of requirements/<name>.txt that ask for something."""
    text = (HERE / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.split('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def read_version():
    """Read the version without importing the package, which wants torch."""
    scope = {}
    exec((HERE / 'cmae_mm' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


readme = HERE / 'README.md'
extras = {
    'optional': read_requirements('optional'),
    'fast': read_requirements('fast'),
    'tests': read_requirements('tests'),
    'bridge': read_requirements('bridge'),
    'export': read_requirements('export'),
    'docs': read_requirements('docs'),
    'mim': read_requirements('mminstall'),  # read by `mim install`
}
extras['all'] = [
    line for name, lines in extras.items() if name != 'mim' for line in lines
]

setup(
    name='cmae-mm',
    version=read_version(),
    description='CMAE (contrastive masked autoencoders) as a plugin for OpenMMLab',
    long_description=readme.read_text(encoding='utf-8') if readme.is_file() else '',
    long_description_content_type='text/markdown',
    author='cmae_mm contributors',
    license='Apache-2.0',
    keywords='self-supervised learning, masked image modeling, vision transformer',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=('cmae_mm', 'cmae_mm.*')),
    package_data={'cmae_mm': ['py.typed', 'report/page.css', 'report/page.js']},
    include_package_data=True,
    zip_safe=False,
    python_requires='>=3.10',
    install_requires=read_requirements('runtime'),
    extras_require=extras,
    entry_points={'console_scripts': ['cmae = cmae_mm.cli:main']},
    cmdclass={'build_py': BuildPy, 'develop': Develop},
)
