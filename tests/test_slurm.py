"""The batch script for Slurm, with stand-ins for Slurm's commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmae_mm.guards.signals import SIGNALS, STOPPED

SCRIPT = Path(__file__).parents[1] / 'tools/slurm_pretrain.sbatch'
# Writes down how it was called, and ends with the next of $CODES.
SRUN = """#!/usr/bin/env bash
printf '%s\\n' "$@" >srun.txt
env | grep -E '^(MASTER_PORT|SRUN_CPUS_PER_TASK)=' >>srun.txt
runs=$(cat runs 2>/dev/null || echo 0)
echo $((runs + 1)) >runs
codes=($CODES)
exit "${codes[$runs]}"
"""
# What Slurm does a little later: the same script starts again.
SCONTROL = """#!/usr/bin/env bash
echo "$*" >>scontrol.txt
[ "${REFUSES:-}" ] && exit 1
SLURM_RESTART_COUNT=$((${SLURM_RESTART_COUNT:-0} + 1)) bash "$SCRIPT" config.py
"""


@pytest.fixture
def submit(tmp_path):
    """Run the script; its exit code, and what it printed."""
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*arguments, codes, **environment):
        done = subprocess.run(
            ['bash', SCRIPT, *arguments],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                'PATH': f'{tmp_path}:{os.environ["PATH"]}',
                'PYTHON': sys.executable,
                'SCRIPT': str(SCRIPT),
                'SLURM_JOB_ID': '1234567',
                'SLURM_CPUS_PER_TASK': '10',
                'CODES': ' '.join(map(str, codes)),
                **environment,
            },
        )
        return done.returncode, done.stdout

    return run


def lines(file):
    return file.read_text().splitlines()


def test_the_script_is_bash():
    subprocess.run(['bash', '-n', SCRIPT], check=True)


def test_slurm_is_asked_for_a_signal_that_the_training_hears():
    asked = re.findall(r'^#SBATCH (\S+)$', SCRIPT.read_text(), re.MULTILINE)
    assert '--requeue' in asked and '--open-mode=append' in asked
    (sent,) = [option for option in asked if option.startswith('--signal')]
    name, seconds = sent.removeprefix('--signal=').split('@')  # not B:
    assert f'SIG{name}' in {number.name for number in SIGNALS}
    assert int(seconds) >= 60  # Slurm may be a minute early or late
    assert f'STOPPED={STOPPED} ' in SCRIPT.read_text()


def test_a_stopped_job_is_requeued_until_it_has_finished(submit, tmp_path):
    code, out = submit('config.py', codes=[STOPPED, STOPPED, 0])
    assert code == 0, out
    assert lines(tmp_path / 'scontrol.txt') == ['requeue 1234567'] * 2
    assert 'restart 2' in out


@pytest.mark.parametrize('code', [0, 1, 137, 143])
def test_any_other_end_is_the_last_one(submit, tmp_path, code):
    found, out = submit('config.py', codes=[code])
    assert found == code, out
    assert not (tmp_path / 'scontrol.txt').exists()


def test_a_cluster_that_does_not_requeue_is_noticed(submit):
    code, _ = submit('config.py', codes=[STOPPED], REFUSES='1')
    assert code == 1


def test_the_training_resumes_and_gets_all_options(submit, tmp_path):
    submit('a config.py', '--cfg-options', 'randomness.seed=1', codes=[0])
    found = lines(tmp_path / 'srun.txt')
    python = found.index(sys.executable)
    assert '--wait=60' in found[:python]
    train = found[python + 2]
    assert train.endswith('mmpretrain/.mim/tools/train.py') and Path(train).exists()
    assert found[python + 3 :] == [
        *('a config.py', '--cfg-options', 'randomness.seed=1'),
        *('--launcher', 'slurm', '--resume'),
        *found[-2:],
    ]
    assert set(found[-2:]) == {'MASTER_PORT=24567', 'SRUN_CPUS_PER_TASK=10'}


def test_without_a_config_it_says_how_it_is_used(submit):
    code, out = submit(codes=[0])
    assert code != 0
    assert 'sbatch tools/slurm_pretrain.sbatch CONFIG' in out
