#!/usr/bin/env bash
# Shows in minutes whether ferjax works on the TPU or GPU of this machine, and how fast: versions and
# devices, values that other programs have computed, a training that must learn, a benchmark. Run it
# where ferjax is installed with the extra of the hardware and with [test].
#
#   launch/smoke.sh [--dry_run]
#
# All that it prints is in LOG, whose last lines say what to send to whoever asked for it. The exit
# code is the number of steps that failed.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

optional PYTHON python3 "the Python that ferjax is installed for"
optional LOG smoke.log "file for everything that is printed"
number BATCH 512 "images of a step of the benchmark"
number STEP_SECONDS 300 "longest time of a step"
start "$@"

if ((!DRY_RUN)); then
  : >"$LOG" || die "LOG is '$LOG', which cannot be written: name another file."
  exec > >(tee "$LOG") 2>&1
fi

failed=()
# step NAME WORDS...: runs the command; a failure is noted, and the next step follows.
step() {
  local name=$1 code=0
  shift
  say "== $name"
  run timeout "$STEP_SECONDS" "$@" || code=$?
  if ((code)); then
    say "== $name: exit code $code"
    failed+=("$name")
  fi
}

cd "$REPOSITORY"
folder=FOLDER
if ((!DRY_RUN)); then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi

# With its platform named, JAX does not fall back to the CPU, where the tests would run otherwise.
say "== devices"
query platform "$PYTHON" -c '
import sys
from importlib.metadata import version
import jax
print("ferjax", version("ferjax"), "jax", jax.__version__, jax.devices(), file=sys.stderr)
print({"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend()))' || platform=none
if ((DRY_RUN)); then platform=PLATFORM; fi
if [[ $platform == none || $platform == cpu ]]; then
  die "no TPU or GPU is found: is ferjax installed with [tpu], [cuda12] or [cuda13]? See $LOG."
fi
export JAX_PLATFORMS=$platform

step values "$PYTHON" -m pytest -q -p no:cacheprovider -o addopts= \
  tests/models/test_golden_models.py tests/training/test_golden_training.py tests/test_losses.py
step learning "$PYTHON" -m ferjax.main --config=configs/cbam_island.py:dataset=synthetic \
  --config.train.num_epochs=4 "--workdir=$folder/run"
step learned "$PYTHON" -c '
import json, sys
accuracy = json.load(open(sys.argv[1]))["selection"]["accuracy"]
print(f"validation accuracy {accuracy:.3f}")
if accuracy < 0.5:
    raise SystemExit("it has not learned: at least 0.5 is expected; a guess is right in 0.14")
' "$folder/run/result.json"
step speed "$PYTHON" -m ferjax.benchmark \
  --config=configs/cbam_island.py:dataset=synthetic,stem=small,dtype=bfloat16 \
  --config.model.width=64 "--config.train.batch_size=$BATCH" --placements=device

if ((${#failed[@]})); then
  say "== failed: ${failed[*]}"
else
  say "== all steps passed"
fi
say "== $LOG has all of this, and nothing else: versions, devices, results. Please send that file."
exit "${#failed[@]}"
