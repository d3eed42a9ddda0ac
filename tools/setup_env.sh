#!/usr/bin/env bash
# Makes a Python environment in which cmae_mm runs, trains and is tested.
#
#   make setup                                    # or: bash tools/setup_env.sh
#   make setup STACK=classic PYTHON=python3.10 VENV=.venv-classic
#
# STACK       default | classic | onedl (the versions stand below)
# PYTHON      3.10, 3.11 or 3.12; default: the first of python3.11, python3.10,
#             python3.12, python3 that fits
# VENV        where the environment goes; default: .venv beside this project
# MAX_JOBS    compilers at once for the ops of mmcv; default: one per core
# FORCE_CUDA  1 builds the CUDA ops of mmcv, too (needs nvcc); default: CPU ops
#
# Most of the first run goes into the ops of mmcv (11 minutes on two cores); the
# wheel built is kept for the next environment. Running it again is cheap, and an
# interrupted run is continued.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STACK=${STACK:-default}
PYTHON=${PYTHON:-}
VENV=${VENV:-$ROOT/.venv}
FORCE_CUDA=${FORCE_CUDA:-0}

# --- What goes in ---------------------------------------------------------------

MMSEG_NEEDS=(ftfy regex) # imported by mmseg.models, declared only in its extras
# What mim imports. Its metadata also asks for opendatalab, which it never imports
# (only `mim download --dataset` starts its command) and which drags in openxlab,
# whose pins (setuptools~=60.2.0, requests~=2.28, ...) break Python 3.12.
MIM_NEEDS=(click colorama model-index packaging pandas requests rich tabulate)
# mmengine, mmcv and mim import pkg_resources, gone in setuptools 82; from 80.9 on
# it warns at every start of mim.
SETUPTOOLS=80.8.0 WHEEL='wheel'
case $STACK in
    default)
        TORCH=2.11.0 TORCHVISION=0.26.0 NUMPY=2.4.6
        MMCV=mmcv==2.1.0
        OPENMMLAB=(mmengine==0.10.7 mmpretrain==1.2.0 mmsegmentation==1.2.2 mmdet==3.3.0)
        MIM=openmim==0.3.9
        ;;
    classic)
        TORCH=2.1.2 TORCHVISION=0.16.2 NUMPY=1.26.4
        MMCV=mmcv==2.1.0
        OPENMMLAB=(mmengine==0.10.7 mmpretrain==1.2.0 mmsegmentation==1.2.2 mmdet==3.3.0)
        MIM=openmim==0.3.9
        # torch 2.1 builds extensions with pkg_resources.packaging (gone in
        # setuptools 70), which in turn needs the bdist_wheel of an older wheel.
        SETUPTOOLS=69.5.1 WHEEL='wheel==0.45.1'
        ;;
    onedl)
        TORCH=2.11.0 TORCHVISION=0.26.0 NUMPY=2.2.6
        MMCV=onedl-mmcv==2.3.6
        OPENMMLAB=(onedl-mmengine==0.10.12 onedl-mmpretrain==1.3.6
            onedl-mmsegmentation==1.4.2 onedl-mmdetection==3.5.1)
        MIM=onedl-mim==0.5.1
        MIM_NEEDS+=(pandas==2.2.3)
        ;;
esac

# --- Speaking -------------------------------------------------------------------

say() { printf 'setup: %s\n' "$1"; }

# complain STATUS LINE...: what came, what was expected, what to try.
complain() {
    local status=$1 line
    shift
    say "$1" >&2
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit "$status"
}

minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# How far a step is: ninja's [n/m] when there is one, else pip's last word.
progress() {
    local last
    last=$(tail -c 20000 "$1" 2>/dev/null | tr '\r' '\n' |
        grep -oE '^ *\[[0-9]+/[0-9]+\]' | tail -n 1 | tr -d ' ') || true
    if [ -z "$last" ]; then
        last=$(grep -oE '^ *(Collecting|Downloading|Building|Installing)[^(]*' "$1" |
            tail -n 1 | sed 's/^ *//' | cut -c 1-48) || true
    fi
    printf '%s' "$last"
}

child=
# step WHAT LOG HINT COMMAND...: runs a command quietly, and says how it goes.
step() {
    local what=$1 log=$2 hint=$3 start=$SECONDS told=0 took status=0
    shift 3
    [ -t 1 ] || say "$what ..."
    set -m # an own process group, so that an interrupt reaches the compilers, too
    "$@" >"$log" 2>&1 </dev/null 9>&- &
    child=$!
    set +m
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        took=$((SECONDS - start))
        [ "$took" -gt "$told" ] || continue
        if [ -t 1 ]; then
            printf '\r\033[Ksetup: %s  %s  %s' "$what" "$(minutes $took)" "$(progress "$log")"
            told=$took
        elif [ "$took" -ge $((told + 60)) ]; then
            say "$what: $(minutes $took)  $(progress "$log")"
            told=$took
        fi
    done
    wait "$child" || status=$?
    child=
    took=$(minutes $((SECONDS - start)))
    [ ! -t 1 ] || printf '\r\033[K'
    if [ "$status" -ne 0 ]; then
        {
            tail -n 30 "$log" | cut -c 1-400
            say "$what failed after $took. The last lines of the log stand above, the whole log in"
            printf '       %s\n' "$log"
            [ -z "$hint" ] || printf '       %s\n' "$hint"
            printf '       Running `make setup` again continues from here.\n'
        } >&2
        exit 1
    fi
    say "$what: done in $took"
}

interrupted() {
    trap - INT TERM
    [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true
    printf '\n' >&2
    complain 130 'interrupted. Running `make setup` again continues from here.'
}
trap interrupted INT TERM
building= # where a wheel is being built
trap '[ -z "$building" ] || rm -rf "$building"' EXIT

# --- Which Python, which environment ------------------------------------------

# The version of a Python, or nothing when it does not run (a shim of pyenv exists
# for every version that any of its Pythons has, and fails when called).
version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true; }
fits() { case $1 in 3.10.* | 3.11.* | 3.12.*) true ;; *) false ;; esac }
can_make_venv() { "$1" -c 'import ensurepip, venv; ensurepip.version()' 2>/dev/null; }

[ -n "${TORCH:-}" ] || complain 2 "STACK=$STACK is not known." \
    'Try: make setup STACK=default (or classic, or onedl)'

case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac
VPY=$VENV/bin/python
STATE=$VENV/.cmae_mm # what this script notes, and its logs
NAME=${VENV#"$ROOT"/}

if [ -n "$PYTHON" ]; then
    version=$(version_of "$PYTHON")
    [ -n "$version" ] || complain 2 "PYTHON=$PYTHON does not run here." \
        'Needed: Python 3.10, 3.11 or 3.12.' \
        'Try: PYTHON=python3.11, or the full path of a Python'
    fits "$version" || complain 2 "PYTHON=$PYTHON is Python $version." \
        'Needed: Python 3.10, 3.11 or 3.12 (mmcv and its family build on these).' \
        'Try: make setup PYTHON=python3.11'
fi

OTHER_ENV="or keep both: make setup STACK=$STACK VENV=$NAME-$STACK"
CLEAN="remove it first: make clean-env$([ "$NAME" = .venv ] || printf ' VENV=%s' "$NAME")"

if [ -e "$VENV/pyvenv.cfg" ] && [ -n "$(version_of "$VPY")" ]; then
    have=$(version_of "$VPY")
    fits "$have" || complain 2 "$NAME has Python $have." \
        'Needed: Python 3.10, 3.11 or 3.12.' "Try: $CLEAN"
    [ -z "$PYTHON" ] || [ "${version%.*}" = "${have%.*}" ] ||
        complain 2 "$NAME was made with Python $have; PYTHON=$PYTHON is $version." \
            "An environment keeps its Python. Try: $CLEAN" \
            "or keep both: make setup PYTHON=$PYTHON VENV=$NAME-${version%.*}"
    version=$have
elif [ -e "$VENV/pyvenv.cfg" ] && [ -e "$STATE/stamp" ]; then
    complain 2 "the Python of $NAME does not run any more (moved or removed?)." "Try: $CLEAN"
elif [ -d "$VENV" ] && [ ! -d "$STATE" ] && [ ! -e "$VENV/pyvenv.cfg" ] &&
    [ -n "$(ls -A "$VENV")" ]; then
    complain 2 "$NAME is a folder with other things in it." \
        'Needed: an environment, or a folder that does not exist yet.' \
        'Try: make setup VENV=<another folder>'
elif [ -z "$PYTHON" ]; then
    tried='' incomplete=''
    for candidate in python3.11 python3.10 python3.12 python3; do
        version=$(version_of "$candidate")
        [ -z "$version" ] || tried="$tried $candidate=$version"
        fits "$version" || continue
        if can_make_venv "$candidate"; then
            PYTHON=$candidate
            break
        fi
        : "${incomplete:=$candidate}" # the check below says what it lacks
    done
    PYTHON=${PYTHON:-$incomplete}
    [ -n "$PYTHON" ] || complain 2 "no fitting Python found (came:${tried:- none})." \
        'Needed: Python 3.10, 3.11 or 3.12.' \
        'Try: install one (Debian: apt-get install python3.11-venv python3.11-dev),' \
        'or name one: make setup PYTHON=<path of a Python>'
    version=$(version_of "$PYTHON")
fi
PYTAG=cp$(printf '%s' "${version%.*}" | tr -d .)

if [ "$STACK" = classic ] && [ "$PYTAG" = cp312 ]; then
    complain 2 "STACK=classic came with Python $version." \
        "Needed: Python 3.10 or 3.11 (torch $TORCH has no package for 3.12)." \
        'Try: make setup STACK=classic PYTHON=python3.11 VENV=.venv-classic'
fi
# numpy 2.3 and later want Python 3.11.
[ "$PYTAG" != cp310 ] || [ "$STACK" != default ] || NUMPY=2.2.6

# --- Nothing to do? -------------------------------------------------------------

# Everything that decides what the environment holds.
fingerprint() {
    "$VPY" - "$ROOT" "$VENV" "$STACK" "$FORCE_CUDA" <<'PY'
import hashlib, sys
from pathlib import Path
root = Path(sys.argv[1])
files = ['tools/setup_env.sh', 'setup.py', 'cmae_mm/version.py']
files += sorted(str(f.relative_to(root)) for f in root.glob('requirements/*.txt'))
digest = hashlib.sha256(repr([sys.version, *sys.argv[1:]]).encode())
for file in files:
    digest.update(b'\0' + file.encode() + b'\0' + (root / file).read_bytes())
print(digest.hexdigest())
PY
}

is_ready() {
    [ -e "$STATE/stamp" ] && [ -e "$ROOT/cmae_mm/.mim/configs" ] &&
        [ "$(cat "$STATE/stamp")" = "$(fingerprint)" ]
}
if is_ready; then
    say "$NAME is ready (STACK=$STACK, Python $version)"
    exit 0
fi

# --- Is this environment ours to go on with? ------------------------------------

# The version of an installed distribution, or nothing.
installed() {
    [ -x "$VPY" ] || return 0
    "$VPY" -c 'import sys; from importlib.metadata import version; print(version(sys.argv[1]))' \
        "$1" 2>/dev/null || true
}

if [ -e "$STATE/made_for" ]; then
    read -r made_stack made_path <"$STATE/made_for"
    [ "$made_stack" = "$STACK" ] ||
        complain 2 "$NAME was made for STACK=$made_stack; STACK=$STACK was asked for." \
            "An environment keeps its stack. Try: $CLEAN" "$OTHER_ENV"
    [ "$made_path" = "$VENV" ] ||
        complain 2 "$NAME was moved here from $made_path; its commands point there." "Try: $CLEAN"
fi
torch_here=$(installed torch)
case ${torch_here%%+*} in
    '' | "$TORCH") ;;
    *) complain 2 "$NAME holds torch $torch_here; STACK=$STACK wants torch $TORCH." \
        "Try: $CLEAN" "$OTHER_ENV" ;;
esac
# The two families share their import names: one would lie over the other.
case $STACK in onedl) foreign=mmengine ;; *) foreign=onedl-mmengine ;; esac
[ -z "$(installed $foreign)" ] ||
    complain 2 "$NAME holds $foreign, which does not go with STACK=$STACK." "Try: $CLEAN" "$OTHER_ENV"

# pip must not be led astray by what surrounds it.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_NO_INPUT=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off

# --- Checks before anything slow ----------------------------------------------

# The ops of mmcv fit one Python and one torch only; pip's own cache would hand a
# wheel built with torch 2.11 to torch 2.1. So the wheel is kept by both.
KEY=$PYTAG-torch$TORCH
[ "$FORCE_CUDA" != 1 ] || KEY=$KEY-cuda
WHEELS=${XDG_CACHE_HOME:-$HOME/.cache}/cmae_mm/wheels/$KEY
RUNNER=$([ -n "$(version_of "$VPY")" ] && echo "$VPY" || echo "$PYTHON")
PLATFORM=$("$RUNNER" -c 'import sysconfig
print(sysconfig.get_platform().replace("-", "_").replace(".", "_"))')
MMCV_WHEEL=$WHEELS/$(printf '%s' "${MMCV%%==*}" | tr - _)-${MMCV##*==}-$PYTAG-$PYTAG-$PLATFORM.whl

if [ ! -x "$VPY" ]; then
    can_make_venv "$PYTHON" || complain 1 "Python $version ($PYTHON) cannot make environments: its module ensurepip is missing." \
        "Try: apt-get install python${version%.*}-venv (Debian, Ubuntu), or another PYTHON=..."
fi

# In the environment, built for this torch, and willing to start?
mmcv_works() {
    [ "$(installed "${MMCV%%==*}")" = "${MMCV##*==}" ] &&
        [ "$(cat "$STATE/mmcv" 2>/dev/null)" = "$KEY" ] && imports 'torch, mmcv, mmcv._ext'
}
# Tries an import, away from this folder so that nothing in it is in the way.
imports() { (cd / && "$VPY" -W ignore -c "import $1") >"$STATE/import.log" 2>&1; }

check_compiler() {
    local cxx answer candidate
    cxx=${CXX:-}
    for candidate in c++ g++ clang++; do
        [ -n "$cxx" ] || ! command -v $candidate >/dev/null || cxx=$candidate
    done
    # Its first word, and no quotes below: CXX may be "ccache g++".
    command -v "${cxx%% *}" >/dev/null || complain 1 "no C++ compiler found (looked for: ${CXX:-c++, g++, clang++})." \
        "$MMCV comes as source, and its ops are compiled once (about 15 minutes on two cores)." \
        'Try: apt-get install g++ (Debian, Ubuntu), or CXX=<your compiler> make setup'
    answer=$(printf '#include <Python.h>\n#include <optional>\nstd::optional<int> x;\n' |
        $cxx -std=c++17 -fsyntax-only -x c++ \
            -I"$("$RUNNER" -c 'import sysconfig; print(sysconfig.get_path("include"))')" - 2>&1) || {
        case $answer in
            *Python.h*) complain 1 "the C headers of Python $version are missing (Python.h)." \
                'mmcv comes as source and needs them.' \
                "Try: apt-get install python${version%.*}-dev (Debian, Ubuntu), or another PYTHON=..." ;;
            *) complain 1 "the compiler $cxx does not take C++17: $(printf '%s' "$answer" | head -n 1)" \
                'Needed: g++ 9 or newer, or a recent clang++. Try: CXX=<a newer one> make setup' ;;
        esac
    }
    # torch's build helper calls c++ unless told otherwise.
    [ "$cxx" = c++ ] || export CXX=$cxx
}
if [ ! -e "$MMCV_WHEEL" ] && ! mmcv_works; then
    check_compiler
    if [ "$FORCE_CUDA" = 1 ] && ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-}/bin/nvcc" ]; then
        complain 1 'FORCE_CUDA=1 came, but there is no nvcc.' \
            'Try: CUDA_HOME=<the CUDA toolkit> make setup, or leave FORCE_CUDA away (CPU ops)'
    fi
fi

free_gb() { # of the disk on which a path lies or will lie
    local path=$1
    while [ ! -e "$path" ]; do path=$(dirname "$path"); done
    df -Pk "$path" | awk 'NR == 2 { print int($4 / 1048576) }'
}
check_disk() { # WHERE NEEDED TRY
    local free
    free=$(free_gb "$1")
    [ "${free:-$2}" -ge "$2" ] || complain 1 "$1 has $free GB left." \
        "Needed: about $2 GB (torch brings the CUDA libraries along)." "Try: $3"
}
TEMPORARY=${TMPDIR:-/tmp}
if [ -z "$torch_here" ]; then
    check_disk "$VENV" 12 'make some room, or make setup VENV=<a folder on another disk>'
    check_disk "$TEMPORARY" 5 'TMPDIR=<a folder on another disk> make setup'
fi

# --- Installing -----------------------------------------------------------------

mkdir -p "$STATE" 2>/dev/null || complain 2 "$VENV cannot be written." \
    'Try: make setup VENV=<a folder of yours>'
if command -v flock >/dev/null; then # two at once would tread on each other
    exec 9>"$STATE/lock"
    if ! flock -n 9; then
        say "another setup works on $NAME; waiting for it"
        flock 9
        if is_ready; then
            say "$NAME is ready (STACK=$STACK, Python $version)"
            exit 0
        fi
    fi
fi

if ! "$VPY" -m pip --version >/dev/null 2>&1; then # none yet, or interrupted
    step "environment $NAME with Python $version" "$STATE/venv.log" '' \
        "${PYTHON:-$RUNNER}" -m venv "$VENV"
fi
printf '%s %s\n' "$STACK" "$VENV" >"$STATE/made_for"
rm -f "$STATE/stamp"

online=
check_network() {
    local dir answer
    [ -z "$online" ] && [ -z "${PIP_NO_INDEX:-}" ] || return 0
    dir=$(mktemp -d)
    answer=$("$VPY" -m pip download -q --no-deps --no-cache-dir --retries 1 --timeout 10 \
        --dest "$dir" colorama 2>&1) || {
        rm -rf "$dir"
        # pip's last line is about the package; the network's complaint stands above it.
        answer=$(printf '%s\n' "$answer" | grep -v '^WARNING: Location' |
            sed "s/.*connection broken by '//" | head -n 1 | cut -c 1-300)
        complain 1 "the package index does not answer; wanted from it: $1." "pip says: $answer" \
            'Try: look at the network, at HTTPS_PROXY, or at `pip config list`; behind a firewall' \
            'set PIP_INDEX_URL to your mirror, or PIP_FIND_LINKS to a folder of wheels.'
    }
    rm -rf "$dir"
    online=yes
}

# pip_install WHAT HINT ARGUMENT...: without the network when all is there already.
pip_install() {
    local what=$1 hint=$2
    shift 2
    ! "$VPY" -m pip install --no-index -c "$STATE/constraints.txt" "$@" >"$STATE/pip.log" 2>&1 || return 0
    check_network "$what"
    step "$what" "$STATE/pip.log" "$hint" "$VPY" -m pip install -c "$STATE/constraints.txt" "$@"
}

cat >"$STATE/constraints.txt" <<END
torch==$TORCH
torchvision==$TORCHVISION
numpy==$NUMPY
setuptools==$SETUPTOOLS
END

# mim reads pip._vendor.pkg_resources, which is still there in pip 26.
pip_install 'build tools' '' 'pip>=24,<27' "setuptools==$SETUPTOOLS" "$WHEEL" ninja psutil
pip_install "torch $TORCH and torchvision $TORCHVISION (about 3 GB)" \
    "torch $TORCH has packages for Linux with glibc 2.28 or newer, macOS and Windows; on older systems try STACK=classic." \
    "torch==$TORCH" "torchvision==$TORCHVISION" "numpy==$NUMPY"

cores() { nproc 2>/dev/null || getconf _NPROCESSORS_ONLN; }
jobs_at_once() { # one per core, as long as each has 1.5 GB of memory
    local by_memory
    by_memory=$(awk '/^MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo 2>/dev/null) || true
    awk -v c="$(cores)" -v m="${by_memory:-999}" 'BEGIN { n = c < m ? c : m; print n < 1 ? 1 : n }'
}

build_mmcv() {
    local cuda_env=()
    check_network "the source of $MMCV"
    mkdir -p "$WHEELS"
    building=$(mktemp -d "$WHEELS/.building.XXXXXX")
    export MMCV_WITH_OPS=1 FORCE_CUDA MAX_JOBS=${MAX_JOBS:-$(jobs_at_once)}
    # mmcv builds for CUDA as soon as it sees a GPU, whether or not nvcc is there.
    [ "$FORCE_CUDA" = 1 ] || cuda_env=(CUDA_VISIBLE_DEVICES=)
    say "the ops of $MMCV are compiled now, once for $KEY (about 25 minutes of one core; $MAX_JOBS at once)"
    # No cache of pip: it would not know which torch the wheel was built with.
    step "compiling $MMCV" "$STATE/mmcv-build.log" \
        'When memory ran out (killed, internal compiler error), try: MAX_JOBS=1 make setup' \
        env PATH="$VENV/bin:$PATH" ${cuda_env[@]+"${cuda_env[@]}"} "$VPY" -m pip wheel -v --no-cache-dir --no-deps \
        --no-build-isolation --no-binary "${MMCV%%==*}" --wheel-dir "$building" "$MMCV"
    mv -f "$building"/*.whl "$MMCV_WHEEL"
    rmdir "$building"
    building=
}
install_mmcv() {
    if [ -n "$(installed "${MMCV%%==*}")" ]; then # pip keeps a wheel of the same version
        "$VPY" -m pip uninstall -y "${MMCV%%==*}" >"$STATE/pip.log" 2>&1
    fi
    pip_install "$MMCV and mmengine" '' "$MMCV_WHEEL" "${OPENMMLAB[0]}"
    printf '%s\n' "$KEY" >"$STATE/mmcv"
    ensure_opencv
}

# opencv-python wants libGL, which servers often lack. The headless package is laid
# over it rather than put in its place: mmengine and mmcv ask pip for opencv-python.
ensure_opencv() {
    local version
    ! imports cv2 || return 0
    version=$(installed opencv-python)
    say "opencv-python $version does not start here ($(tail -n 1 "$STATE/import.log" | cut -c 1-120));"
    say 'taking opencv-python-headless, which needs no display libraries'
    check_network opencv-python-headless
    step "opencv-python-headless $version" "$STATE/pip.log" '' "$VPY" -m pip install \
        --no-deps --force-reinstall "opencv-python-headless${version:+==$version}"
    imports cv2 || complain 1 "cv2 does not start: $(tail -n 1 "$STATE/import.log")"
}

if ! mmcv_works; then
    built=
    [ -e "$MMCV_WHEEL" ] || { build_mmcv && built=yes; }
    install_mmcv
    if ! mmcv_works && [ -z "$built" ]; then
        say "the $MMCV kept in $WHEELS does not start here; building it anew"
        rm -f "$MMCV_WHEEL"
        check_compiler
        build_mmcv
        install_mmcv
    fi
    mmcv_works || complain 1 "$MMCV does not start: $(tail -n 1 "$STATE/import.log")" \
        "Try: rm '$MMCV_WHEEL', and make setup again"
fi

pip_install 'the OpenMMLab family' '' "${OPENMMLAB[@]}" "${MMSEG_NEEDS[@]}" "${MIM_NEEDS[@]}"
pip_install "$MIM" '' --no-deps "$MIM"
wanted=()
for name in tests bridge export docs fast runtime; do
    wanted+=(-r "$ROOT/requirements/$name.txt")
done
pip_install 'test tools' '' "${wanted[@]}"
ensure_opencv
step 'cmae_mm itself, editable' "$STATE/pip.log" '' \
    "$VPY" -m pip install --no-index --no-deps --no-build-isolation -e "$ROOT"
# mim looks into site-packages only, where an editable package is not.
ln -sfn "$ROOT/cmae_mm" \
    "$("$VPY" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cmae_mm"

# --- Does it stand? -------------------------------------------------------------

cat >"$STATE/verify.py" <<'PY'
import platform

import torch
import torchvision
import mmcv
import mmcv._ext
import mmengine
import mmpretrain
import mmseg
import mmdet
import mim.cli
import cmae_mm

named = [torch, torchvision, mmengine, mmcv, mmpretrain, mmseg, mmdet, cmae_mm]
print(f'Python {platform.python_version()},', ', '.join(f'{m.__name__} {m.__version__}' for m in named))
print('CUDA device: ' + (torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'none, runs on the CPU'))
PY
step 'first import of everything' "$STATE/verify.log" \
    'An error inside cmae_mm is one of this project, not of the environment.' \
    "$VPY" -W ignore "$STATE/verify.py"
tail -n 2 "$STATE/verify.log" | while IFS= read -r line; do say "$line"; done
fingerprint >"$STATE/stamp"
say "$NAME is ready (STACK=$STACK); source $NAME/bin/activate, or call $NAME/bin/python"
