"""``cmae`` as it is called on a command line, but within this process."""

import pytest

from cmae_mm import cli


@pytest.fixture
def cmae(tmp_path, monkeypatch, capsys):
    """Run it in an empty folder; exit code, stdout, stderr.

    What ``sys.exit`` would print stands at the end of stderr.
    """
    monkeypatch.chdir(tmp_path)

    def run(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        code = stop.value.code
        return (1, out, err + code) if isinstance(code, str) else (code, out, err)

    return run
