#!/usr/bin/env bash
# Trains on the GPUs of this machine: makes a virtual environment, installs ferjax with CUDA, runs,
# and restarts after exit code 75. SIGTERM and Ctrl-C let the run save; it then ends with 75.
#
#   CONFIG=configs/cbam_island.py WORKDIR=runs/island launch/gpu_box.sh [--dry_run] [-- FLAGS]
#
# FLAGS are those of ferjax.main, as --config.train.num_epochs=50.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

training_variables "a local folder"
optional VENV "$REPOSITORY/.venv" "virtual environment, made if it is not there"
optional PYTHON python3 "the Python, 3.11 or later, that makes it"
optional EXTRA cuda12 "extra of ferjax that is installed into it"
number RESTART_SECONDS 10 "pause before a restart"
switch KEEP 0 "1 keeps a half-made environment after a failed installation"
start "$@"
ferjax_main off

make_environment
if ((DRY_RUN)); then
  run setsid "$VENV/bin/python" "${MAIN[@]}"
  exit
fi

stopping=0
# shellcheck disable=SC2329 # called by the trap
stop() {
  if ((stopping)); then return; fi
  stopping=1
  if [[ -z $runner ]]; then exit 143; fi
  until pkill -TERM -P "$runner" || ! kill -0 "$runner" 2>/dev/null; do sleep 0.1; done
}
trap stop HUP INT TERM

while true; do
  code=0
  # In a session of its own the run gets one signal, from here: ferjax takes a second one, as the
  # terminal would send it, for an order to stop without saving.
  run_and_wait run setsid "$VENV/bin/python" "${MAIN[@]}" || code=$?
  if ((code == 0)); then exit 0; fi
  say "ferjax ended with exit code $code"
  if ((stopping)) || ! may_restart "$code"; then exit "$code"; fi
  pause "$RESTART_SECONDS"
done
