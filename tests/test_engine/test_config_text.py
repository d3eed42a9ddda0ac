from mmengine.config import Config

from cmae_mm.engine.config_text import read_settings


def test_it_reads_what_mmengine_writes():
    model = dict(
        type='A', sizes=[1, -2.5, (3, None)], inner={'a b': True}, limit=float('inf')
    )
    text = Config(dict(model=model, other=3)).pretty_text
    assert read_settings(text, 'model', 'absent') == dict(model=model)


def test_nothing_is_run(tmp_path):
    trap = tmp_path / 'trap'
    for line in (
        f'open({str(trap)!r}, "w")',
        f'dict(a=open({str(trap)!r}, "w"))',
        f'dict(**open({str(trap)!r}, "w"))',
        f'[x for x in [open({str(trap)!r}, "w")]]',
        'str.__class__',
    ):
        found = read_settings(f'model = {line}\nother = dict(a=1)', 'model', 'other')
        assert found == dict(other=dict(a=1))
    assert not trap.exists()


def test_the_last_assignment_counts_even_if_it_is_not_plain():
    assert read_settings('model = 1\nmodel = 2', 'model') == dict(model=2)
    assert read_settings('model = 1\nmodel = f()', 'model') == {}


def test_text_of_any_kind_is_no_error():
    for text in ('', 'not python (', 'model = ' + '(' * 5000, 'a, b = 1, 2', '\0'):
        assert read_settings(text, 'model') == {}
