from cmae_mm.preparation.progress import Progress


def test_a_line_for_every_tenth_without_a_terminal(capsys):
    with Progress('photos.tar', 1000) as progress:
        for _ in range(250):
            progress.advance(4)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith('photos.tar: 10')
    assert lines[-1] == 'photos.tar: 100 %'


def test_nothing_to_do_is_not_told(capsys):
    with Progress('photos.tar', 0) as progress:
        progress.advance(0)
    assert capsys.readouterr().err == ''


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr('sys.stderr.isatty', lambda: True)
    for unit in ('bytes', 'files'):
        with Progress('photos [1].tar', 1000, unit) as progress:
            progress.advance(1000)
            assert progress.bar.finished
    assert 'photos [1].tar' in capsys.readouterr().err
