#!/usr/bin/env bash
# Trains on GPU nodes under SLURM: makes a virtual environment on the shared file system, installs
# ferjax with CUDA, and submits launch/slurm_job.sh. That job starts one process per node (or per
# GPU), saves before its time limit, and requeues itself after exit code 75.
#
#   CONFIG=configs/cbam_island.py WORKDIR=/shared/runs/island NODES=4 GPUS_PER_NODE=8 \
#       TIME=08:00:00 launch/slurm.sh [--dry_run] [-- FLAGS]
#
# FLAGS are those of ferjax.main. Any other option of sbatch can be given by its own variable, as
# SBATCH_CONSTRAINT. Run it on a login node, from a checkout on the shared file system.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

training_variables "on the shared file system"
number NODES "" "number of nodes"
number GPUS_PER_NODE "" "GPUs of each node"
number TASKS_PER_NODE 1 "processes on each node: 1, or as many as there are GPUs"
optional CPUS_PER_TASK "" "processor cores for each process; the cluster's default if empty"
required TIME "time limit of one run, as 08:00:00; the job saves and requeues itself before it"
number GRACE_SECONDS 120 "how long before the time limit the run is told to save"
optional NAME ferjax "name of the job"
optional PARTITION "" "partition; the cluster's default if empty"
optional ACCOUNT "" "account; the cluster's default if empty"
optional LOGS "$PWD/slurm_logs" "folder of the job's output, on the shared file system"
optional VENV "$REPOSITORY/.venv" "virtual environment on the shared file system, made if not there"
optional PYTHON python3 "the Python, 3.11 or later, that makes it"
optional EXTRA cuda12 "extra of ferjax that is installed into it"
switch KEEP 0 "1 keeps a half-made environment after a failed installation"
start "$@"
if [[ $TASKS_PER_NODE != 1 && $TASKS_PER_NODE != "$GPUS_PER_NODE" ]]; then
  die "TASKS_PER_NODE is $TASKS_PER_NODE where 1 or GPUS_PER_NODE ($GPUS_PER_NODE) is expected."
fi
ferjax_main slurm

make_environment
run mkdir -p "$LOGS"
submit=(sbatch --parsable "--job-name=$NAME" "--nodes=$NODES" "--ntasks-per-node=$TASKS_PER_NODE"
  "--gpus-per-node=$GPUS_PER_NODE" "--time=$TIME" "--signal=B:TERM@$GRACE_SECONDS" --requeue
  --open-mode=append "--output=$LOGS/%x-%j.log")
if [[ -n $CPUS_PER_TASK ]]; then submit+=("--cpus-per-task=$CPUS_PER_TASK"); fi
if [[ -n $PARTITION ]]; then submit+=("--partition=$PARTITION"); fi
if [[ -n $ACCOUNT ]]; then submit+=("--account=$ACCOUNT"); fi
submit+=("$REPOSITORY/launch/slurm_job.sh" "$REPOSITORY" "$MAX_RESTARTS" "$GRACE_SECONDS"
  "$VENV/bin/python" "${MAIN[@]}")
query job "${submit[@]}"
if ((DRY_RUN)); then exit; fi
job=${job%%;*} # a cluster's name may follow
say "submitted job $job; its output is $LOGS/$NAME-$job.log"
say "scancel $job stops it for good; it has the cluster's KillWait to save"
