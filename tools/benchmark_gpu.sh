#!/usr/bin/env bash
# Measures what the GPU tables of docs/benchmarks.md want, in three commands that are
# meant to end within ten minutes each:
#
#   tools/benchmark_gpu.sh step   the training step beside a peer, and the ablation
#   tools/benchmark_gpu.sh data   the pipelines, per core of this machine
#   tools/benchmark_gpu.sh e2e    the real runner with 8 workers
#
# Afterwards `python tools/benchmark_tables.py` writes the tables. From the environment:
#
#   REFERENCE   a checkout of the authors' code; without it the peer is stock mmpretrain
#   PICTURES    a folder of photos; without it some are made
#   OUT         where the JSON goes (docs/benchmarks)
#   PYTHON      (.venv/bin/python)
#   DEVICE, ARCH, BATCH, WORKERS, ITERATIONS, WARM_UP, PER_EPOCH, ROUNDS, IMAGES, COMPILE
#               to try it small, also without a GPU: DEVICE=cpu ARCH=tiny BATCH=4 ...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-.venv/bin/python}
DEVICE=${DEVICE:-cuda}
ARCH=${ARCH:-b}
BATCH=${BATCH:-256}
ROUNDS=${ROUNDS:-20}
COMPILE=${COMPILE:-inductor}
OUT=${OUT:-docs/benchmarks}
REFERENCE=${REFERENCE:-}
PICTURES=${PICTURES:-}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
mkdir -p "$OUT"

bench() {
    echo "=== benchmark.py $* (after $SECONDS s)"
    "$PYTHON" -W ignore tools/benchmark.py "$@"
}

step() {
    local model=(--device "$DEVICE" --arch "$ARCH" --batch "$BATCH" --dtype bfloat16)
    local peer=(--peer stock) failed=0
    [ -z "$REFERENCE" ] || peer=(--peer released --reference "$REFERENCE")
    # Each on its own: where compiling fails, the others still have their numbers.
    bench step "${model[@]}" --rounds "$ROUNDS" "${peer[@]}" --memory \
        --compile "$COMPILE" --json "$OUT/gpu-step.json" || failed=1
    bench step "${model[@]}" --rounds "$ROUNDS" "${peer[@]}" \
        --json "$OUT/gpu-step-eager.json" || failed=1
    bench ablate "${model[@]}" --rounds "$ROUNDS" --compile "$COMPILE" \
        --json "$OUT/gpu-ablate.json" || failed=1
    return $failed
}

data() {
    bench data ${PICTURES:+"$PICTURES"} --images "${IMAGES:-300}" \
        --rounds "${DATA_ROUNDS:-5}" ${REFERENCE:+--reference "$REFERENCE"} \
        --json "$OUT/gpu-data.json"
}

e2e() {
    local shared=(--device "$DEVICE" --arch "$ARCH" --batch "$BATCH"
        --workers "${WORKERS:-8}" --iterations "${ITERATIONS:-100}"
        --warm-up "${WARM_UP:-20}" --compile "$COMPILE") failed=0
    bench e2e ${PICTURES:+"$PICTURES"} "${shared[@]}" --json "$OUT/gpu-e2e.json" \
        --against ${REFERENCE:+released} reference device-colour \
        ${REFERENCE:+--reference "$REFERENCE"} || failed=1
    # Short epochs, because the loop of this project is about what lies between them.
    bench e2e ${PICTURES:+"$PICTURES"} "${shared[@]}" --json "$OUT/gpu-loop.json" \
        --per-epoch "${PER_EPOCH:-20}" --against stock-loop stock-reads || failed=1
    return $failed
}

case ${1:-} in
    step | data | e2e) "$1" ;;
    *)
        echo "usage: tools/benchmark_gpu.sh {step|data|e2e}" >&2
        exit 2
        ;;
esac
echo "=== done after $SECONDS s"
