#!/usr/bin/env bash
# The batch script that launch/slurm.sh submits; it runs on the first node of the allocation.
# Arguments: REPOSITORY MAX_RESTARTS GRACE_SECONDS COMMAND... ; COMMAND runs once in every task.
set -euo pipefail
# SLURM runs a copy of this file, so what lies beside it is named by the first argument.
# shellcheck source=launch/common.sh
source "$1/launch/common.sh"
MAX_RESTARTS=$2
grace_seconds=$3
shift 3
job=$SLURM_JOB_ID
restarts=${SLURM_RESTART_COUNT:-0}

is_running() { [[ $(squeue --noheader --jobs="$job" --format=%T) == RUNNING ]]; }

# SLURM tells this script alone that the time limit is near. srun would answer SIGTERM by killing
# the tasks at once, so the signal goes to them through the controller. A job that is being
# cancelled has had its signal in every task, and a second one would cut the save short.
# shellcheck disable=SC2329 # called by the trap
stop() {
  if is_running; then
    say "SIGTERM: telling the tasks to save"
    scancel --signal=TERM "$job"
  fi
}
trap stop TERM

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
step=(srun --kill-on-bad-exit=0 "--wait=$grace_seconds")
if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then step+=("--cpus-per-task=$SLURM_CPUS_PER_TASK"); fi
# shellcheck disable=SC2329 # called by run_and_wait
run_step() {
  "${step[@]}" "$@" 2>&1 >&3 | tee "$errors" >&2
  return "${PIPESTATUS[0]}"
}
code=0
run_and_wait run_step "$@" 3>&1 || code=$?

# srun's exit code is the highest of its tasks, so one that failed for good hides behind others
# that stopped with 75 because of it; what srun printed of each task does not.
while read -r other; do
  if ((other != RESUMABLE)); then code=$other; fi
done < <(sed -nE 's/^srun: error: .*: tasks? .*: Exited with exit code ([0-9]+)$/\1/p' "$errors")

if ((code == 0)); then exit 0; fi
say "ferjax ended with exit code $code"
# A job that is no longer running was cancelled, or preempted and requeued by SLURM itself.
if is_running && may_restart "$code"; then scontrol requeue "$job"; fi
exit "$code"
