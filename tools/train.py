"""`mim train cmae_mm CONFIG`: the tool of the library that the config is for.

It takes the same options as theirs; `python tools/train.py CONFIG --help` shows them.
"""

from cmae_mm.stock_tools import run_tool

if __name__ == '__main__':
    run_tool('train.py')
