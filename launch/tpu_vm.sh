#!/usr/bin/env bash
# Trains on a Cloud TPU VM, one host or a slice of many: asks for it through a queued resource, waits
# until it is there, installs ferjax on all workers, runs on all of them, restarts after exit code
# 75, makes the slice anew when it was preempted, fetches the results, and deletes the slice.
#
#   NAME=island PROJECT=my-project ZONE=us-west4-a ACCELERATOR_TYPE=v5litepod-16 \
#       RUNTIME_VERSION=v2-alpha-tpuv5-lite CONFIG=configs/cbam_island.py \
#       WORKDIR=gs://my-bucket/island launch/tpu_vm.sh [--dry_run] [-- FLAGS]
#
# FLAGS are those of ferjax.main. Ctrl-C and SIGTERM let the run save, then delete the slice.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

training_variables "gs://..., for every host writes to it and it outlives the slice"
required NAME "name of the queued resource and of its TPU"
required PROJECT "Google Cloud project"
required ZONE "zone, as us-west4-a"
required ACCELERATOR_TYPE "kind and size, as v5litepod-8 (one host) or v5litepod-16 (four)"
required RUNTIME_VERSION "TPU software version of that kind, as v2-alpha-tpuv5-lite"
switch SPOT 1 "1 asks for spot capacity, which costs less and can be preempted"
optional VALID_FOR "" "give up if the slice is not there after this time, as 6h; waits on if empty"
optional SERVICE_ACCOUNT "" "service account of the hosts; the project's default if empty"
optional PYTHON_VERSION 3.11 "Python that is installed on the hosts"
optional RESULTS "results/$NAME" "local folder for the logs and, at the end, a copy of WORKDIR"
number POLL_SECONDS 30 "pause between two looks at the state, and before a restart"
number GRACE_SECONDS 120 "how long a run that is told to stop may take to save"
switch KEEP 0 "1 leaves the slice in place at the end, and its cost running"
start "$@"
require_name
require_bucket
ferjax_main tpu

created=0  # the queued resource may exist
active=0   # its slice is there
ready=0    # ferjax is installed on its workers
training=0 # the run is under way there
tries=0
queue=(gcloud compute tpus queued-resources)
tpu=(gcloud compute tpus tpu-vm)
place=("--project=$PROJECT" "--zone=$ZONE")

# The code of ssh itself when the connection is lost, and of gcloud with it.
CONNECTION_LOST=255

on_workers() { run "${tpu[@]}" ssh "$NAME" "${place[@]}" --worker=all "--command=$1"; }

remote() { # WORDS... -> one string that the workers' bash reads back as the same words
  local line
  printf -v line '%q ' bash ferjax/launch/tpu_worker.sh "$@"
  printf '%s' "${line% }"
}

find_existing() { # VARIABLE
  query "$1" "${queue[@]}" list "${place[@]}" "--filter=name~\"(^|/)$NAME\$\"" \
    "--format=value(name)"
}

create() {
  local request=("${queue[@]}" create "$NAME" "${place[@]}" "--node-id=$NAME"
    "--accelerator-type=$ACCELERATOR_TYPE" "--runtime-version=$RUNTIME_VERSION")
  if ((SPOT)); then request+=(--spot); fi
  if [[ -n $VALID_FOR ]]; then request+=("--valid-until-duration=$VALID_FOR"); fi
  if [[ -n $SERVICE_ACCOUNT ]]; then request+=("--service-account=$SERVICE_ACCOUNT"); fi
  created=1 # before the answer, which may be lost
  run "${request[@]}"
}

wait_until_active() {
  local state failures=0
  while true; do
    if query state "${queue[@]}" describe "$NAME" "${place[@]}" "--format=value(state.state)"; then
      failures=0
    elif ((++failures == 5)); then
      say "the state of $NAME could not be read five times in a row"
      return 1
    fi
    if ((DRY_RUN)); then return; fi
    case $state in
      ACTIVE)
        active=1
        return
        ;;
      FAILED | SUSPENDING | SUSPENDED | DELETING)
        say "queued resource $NAME is $state"
        return 1
        ;;
    esac
    say "queued resource $NAME: ${state:-state unknown}"
    pause "$POLL_SECONDS"
  done
}

install() {
  local source sources=()
  for source in pyproject.toml README.md LICENSE constraints.txt ferjax configs third_party launch; do
    sources+=("$REPOSITORY/$source")
  done
  on_workers "mkdir -p ferjax" &&
    run "${tpu[@]}" scp "${sources[@]}" "$NAME:ferjax" "${place[@]}" --worker=all --recurse &&
    on_workers "$(remote install "$PYTHON_VERSION")"
}

# Runs once on all workers. gcloud's exit code is that of one worker; each worker also prints its
# own, so that a failure for good is not hidden by others that stopped with 75 because of it.
train() {
  local log code=0 other
  tries=$((tries + 1))
  log=$RESULTS/attempt_$tries.log
  if ((DRY_RUN)); then
    on_workers "$(remote run "$GRACE_SECONDS" "${MAIN[@]}")"
    return
  fi
  training=1
  {
    trap '' TERM INT HUP # what to stop, and when, is decided below; the log is written to the end
    {
      on_workers "$(remote run "$GRACE_SECONDS" "${MAIN[@]}")" 2>&1 || code=$?
      printf 'launch: gcloud exit code %s\n' "$code"
    } | tee "$log"
  } &
  wait $!
  training=0
  code=$(sed -n 's/^launch: gcloud exit code \([0-9]*\)$/\1/p' "$log" | tail -n 1)
  while read -r other; do
    if ((other != 0 && other != RESUMABLE)); then code=$other; fi
  done < <(sed -n 's/^.*launch: worker exit code \([0-9]*\)$/\1/p' "$log")
  return "${code:-1}"
}

# Whether the slice is gone or going. A state that cannot be read is no reason to think so.
is_lost() {
  local state
  query state "${queue[@]}" describe "$NAME" "${place[@]}" "--format=value(state.state)" || state=""
  if [[ $state =~ ^(FAILED|SUSPENDING|SUSPENDED|DELETING)$ ]]; then return 0; fi
  query state "${tpu[@]}" describe "$NAME" "${place[@]}" "--format=value(state)" || state=""
  [[ $state =~ ^(PREEMPTED|TERMINATED|STOPPED|STOPPING|DELETING)$ ]]
}

delete() { run "${queue[@]}" delete "$NAME" "${place[@]}" --force --quiet; }

finish() {
  local code=$1 left
  trap '' HUP INT TERM
  if ((training)); then
    say "telling the workers to save and stop"
    on_workers "$(remote stop "$GRACE_SECONDS")" || true
  fi
  if ((created && KEEP)); then
    say "KEEP=1: the slice stays and costs; delete it with"
    print_command "${queue[@]}" delete "$NAME" "${place[@]}" --force --quiet >&2
  elif ((created)) && ! delete && { ! find_existing left || [[ -n $left ]]; }; then
    say "$NAME COULD NOT BE DELETED AND MAY COST MONEY; the command above deletes it"
    if ((code == 0)); then code=1; fi
  fi
  exit "$code"
}
on_end finish

attempt() {
  if ((!ready)); then
    create && wait_until_active && install || return
    ready=1
  fi
  train
}

find_existing found
if [[ -n $found ]]; then
  die "NAME is $NAME, and a queued resource of that name exists: delete it, or choose another name."
fi
run mkdir -p "$RESULTS"
while true; do
  code=0
  attempt || code=$?
  if ((code == 0)); then break; fi
  say "ended with exit code $code"
  lost=0
  if is_lost; then
    lost=1
    say "the slice was preempted or deleted"
  fi
  resumable=$code
  # A slice that was never there has not been preempted: its request failed.
  if ((lost && active || code == CONNECTION_LOST)); then resumable=$RESUMABLE; fi
  if ! may_restart "$resumable"; then exit "$code"; fi
  if ((lost)); then
    delete
    created=0 active=0 ready=0
  else
    pause "$POLL_SECONDS"
  fi
done
run gcloud storage rsync --recursive "$WORKDIR" "$RESULTS/workdir"
