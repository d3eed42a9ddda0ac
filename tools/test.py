"""`mim test cmae_mm CONFIG --checkpoint FILE`: the tool of the library of the config.

It takes the same options as theirs; `python tools/test.py CONFIG --help` shows them.
"""

from cmae_mm.stock_tools import run_tool

if __name__ == '__main__':
    run_tool('test.py')
