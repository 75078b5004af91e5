#!/usr/bin/env bash
# Trains on Google Kubernetes Engine with a JobSet, on TPU or GPU nodes: fills jobset_tpu.yaml or
# jobset_gpu.yaml, creates the JobSet, waits for its end, fetches logs and results, and deletes it.
# Kubernetes restarts all processes after exit code 75 or the loss of a node, and after nothing else.
# On request it also builds the image and makes the node pool, which it then deletes as well.
#
#   NAME=island PROJECT=my-project LOCATION=us-west4 CLUSTER=my-cluster \
#       IMAGE=us-docker.pkg.dev/my-project/images/ferjax:tpu \
#       ACCELERATOR=tpu-v5-lite-podslice TOPOLOGY=4x4 NODES=4 CHIPS_PER_NODE=4 \
#       CONFIG=configs/cbam_island.py WORKDIR=gs://my-bucket/island \
#       launch/gke_jobset.sh [--dry_run] [-- FLAGS]
#
# FLAGS are those of ferjax.main. Ctrl-C and SIGTERM delete the JobSet, which lets the run save.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

training_variables "gs://..., for every pod writes to it and it outlives the nodes"
required NAME "name of the JobSet"
required PROJECT "Google Cloud project of the cluster"
required LOCATION "region or zone of the cluster"
required CLUSTER "name of the cluster; the JobSet controller is installed there"
optional NAMESPACE default "Kubernetes namespace"
required IMAGE "container image with ferjax, as launch/Dockerfile makes it"
required ACCELERATOR "as GKE labels its nodes: tpu-v5-lite-podslice, nvidia-h100-80gb, ..."
optional TOPOLOGY "" "of a TPU slice, as 4x4; required for TPUs"
number NODES "" "number of nodes, one process on each; for TPUs, the hosts of the slice"
number CHIPS_PER_NODE "" "TPU chips or GPUs of each node, all of which are used"
switch SPOT 1 "1 runs on spot nodes, which cost less and can be preempted"
optional SERVICE_ACCOUNT default "Kubernetes service account, which may write to WORKDIR"
switch BUILD 0 "1 builds IMAGE with docker and pushes it first"
optional NODE_POOL "" "makes a node pool of this name first and deletes it at the end"
optional MACHINE_TYPE "" "machine type of that pool, as ct5lp-hightpu-4t or a3-highgpu-8g"
optional NODE_LOCATIONS "" "zones of that pool; the cluster's if empty"
optional RESULTS "results/$NAME" "local folder for the log and, at the end, a copy of WORKDIR"
number POLL_SECONDS 30 "pause between two looks at the JobSet"
number GRACE_SECONDS 120 "how long a pod that is told to stop may take to save"
switch KEEP 0 "1 leaves the JobSet and the node pool in place at the end, and their cost running"
start "$@"
require_name
require_bucket
case $ACCELERATOR in
  tpu*)
    kind=tpu
    if [[ -z $TOPOLOGY ]]; then die "TOPOLOGY is not set, and $ACCELERATOR needs one, as 4x4."; fi
    ferjax_main tpu
    ;;
  nvidia*)
    kind=gpu
    ferjax_main kubernetes
    ;;
  *) die "ACCELERATOR is '$ACCELERATOR' where tpu... or nvidia... is expected, as GKE labels its nodes." ;;
esac
if [[ -n $NODE_POOL && -z $MACHINE_TYPE ]]; then
  die "MACHINE_TYPE is not set, and a node pool cannot be made without, as ct5lp-hightpu-4t."
fi

created=0      # the JobSet may exist
pool_created=0 # the node pool may exist
place=("--project=$PROJECT" "--location=$LOCATION")
kubectl=(kubectl "--context=gke_${PROJECT}_${LOCATION}_${CLUSTER}" "--namespace=$NAMESPACE")
pods="--selector=jobset.sigs.k8s.io/jobset-name=$NAME"

json() { # TEXT -> a string of JSON, which is one of YAML
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\t'/\\t}
  printf '"%s"' "${text//$'\r'/\\r}"
}

# The JobSet, with every @WORD@ of the template replaced.
fill() {
  local text selector arguments="" argument word
  selector="cloud.google.com/gke-accelerator: $(json "$ACCELERATOR")"
  if [[ $kind == tpu ]]; then
    selector="cloud.google.com/gke-tpu-accelerator: $(json "$ACCELERATOR")"
    selector+=", cloud.google.com/gke-tpu-topology: $(json "$TOPOLOGY")"
  fi
  if ((SPOT)); then selector+=', cloud.google.com/gke-spot: "true"'; fi
  if [[ -n $NODE_POOL ]]; then selector+=", cloud.google.com/gke-nodepool: $(json "$NODE_POOL")"; fi
  for argument in "${MAIN[@]}"; do
    # Kubernetes replaces $(WORD) in arguments, and $$ by $.
    arguments+="${arguments:+, }$(json "${argument//\$/\$\$}")"
  done
  text=$(<"$REPOSITORY/launch/jobset_$kind.yaml")
  for word in NAME NODES CHIPS_PER_NODE GRACE_SECONDS MAX_RESTARTS; do
    text=${text//"@$word@"/"${!word}"}
  done
  text=${text//@SERVICE_ACCOUNT@/"$(json "$SERVICE_ACCOUNT")"}
  text=${text//@IMAGE@/"$(json "$IMAGE")"}
  text=${text//@NODE_SELECTOR@/"{$selector}"}
  printf '%s\n' "${text//@ARGUMENTS@/"[$arguments]"}"
}

find_existing() { # VARIABLE
  query "$1" "${kubectl[@]}" get jobset "$NAME" --ignore-not-found --output=name
}

find_pool() { # VARIABLE
  query "$1" gcloud container node-pools list "${place[@]}" "--cluster=$CLUSTER" \
    "--filter=name=$NODE_POOL" "--format=value(name)"
}

build() {
  local extra=tpu
  if [[ $kind == gpu ]]; then extra=cuda12; fi
  run docker build --platform=linux/amd64 "--build-arg=EXTRA=$extra" "--tag=$IMAGE" \
    "--file=$REPOSITORY/launch/Dockerfile" "$REPOSITORY"
  run docker push "$IMAGE"
}

create_pool() {
  local request=(gcloud container node-pools create "$NODE_POOL" "${place[@]}"
    "--cluster=$CLUSTER" "--machine-type=$MACHINE_TYPE" "--num-nodes=$NODES")
  if [[ $kind == gpu ]]; then
    request+=("--accelerator=type=$ACCELERATOR,count=$CHIPS_PER_NODE,gpu-driver-version=latest")
  elif ((NODES > 1)); then
    request+=("--tpu-topology=$TOPOLOGY") # a single host has no choice
  fi
  if [[ -n $NODE_LOCATIONS ]]; then request+=("--node-locations=$NODE_LOCATIONS"); fi
  if ((SPOT)); then request+=(--spot); fi
  pool_created=1 # before the answer, which may be lost
  run "${request[@]}"
}

create() {
  local jobset
  jobset=$(fill)
  created=1 # before the answer, which may be lost
  if ((DRY_RUN)); then
    printf "%s <<'JOBSET'\n%s\nJOBSET\n" "$(print_command "${kubectl[@]}" create --filename=-)" "$jobset"
  else
    run "${kubectl[@]}" create --filename=- <<<"$jobset"
  fi
}

# Sets state: Completed or Failed.
wait_for_end() {
  local failures=0 status seen=""
  while true; do
    if query status "${kubectl[@]}" get jobset "$NAME" \
      "--output=jsonpath={.status.terminalState}/{.status.restarts}"; then
      failures=0
    elif ((++failures == 5)); then
      say "the JobSet $NAME could not be read five times in a row"
      exit 1
    fi
    if ((DRY_RUN)); then return; fi
    state=${status%%/*}
    if [[ -n $state ]]; then return; fi
    if [[ $status != "$seen" ]]; then say "JobSet $NAME: running, restarts: ${status#*/}"; fi
    seen=$status
    pause "$POLL_SECONDS"
  done
}

fetch_logs() {
  run_into "$RESULTS/$NAME.log" "${kubectl[@]}" logs "$pods" --container=ferjax --prefix --tail=-1 \
    "--max-log-requests=$NODES" || say "the logs could not be fetched"
}

# The exit code of the pod that failed for good, or 75 where all stopped with it.
exit_code_of_pods() {
  local codes pod exit_code worst=""
  query codes "${kubectl[@]}" get pods "$pods" "--output=jsonpath={range .items[*]}{.metadata.name} \
{.status.containerStatuses[0].state.terminated.exitCode}{\"\\n\"}{end}" || codes=""
  while read -r pod exit_code; do
    if [[ -z $exit_code || $exit_code == 0 ]]; then continue; fi
    say "pod $pod ended with exit code $exit_code"
    if [[ -z $worst || $worst == "$RESUMABLE" ]]; then worst=$exit_code; fi
  done <<<"$codes"
  return "${worst:-1}"
}

finish() {
  local code=$1 left delete_jobset delete_pool
  trap '' HUP INT TERM
  delete_jobset=("${kubectl[@]}" delete jobset "$NAME" --ignore-not-found --cascade=foreground)
  delete_pool=(gcloud container node-pools delete "$NODE_POOL" "${place[@]}" "--cluster=$CLUSTER"
    --quiet)
  if ((KEEP && (created || pool_created))); then
    say "KEEP=1: what was made stays, and nodes cost; delete it with"
    if ((created)); then print_command "${delete_jobset[@]}" >&2; fi
    if ((pool_created)); then print_command "${delete_pool[@]}" >&2; fi
    exit "$code"
  fi
  if ((created)) && ! run "${delete_jobset[@]}"; then
    say "JobSet $NAME COULD NOT BE DELETED AND MAY COST MONEY; the command above deletes it"
    if ((code == 0)); then code=1; fi
  fi
  if ((pool_created)) && ! run "${delete_pool[@]}" && { ! find_pool left || [[ -n $left ]]; }; then
    say "node pool $NODE_POOL COULD NOT BE DELETED AND MAY COST MONEY; the command above deletes it"
    if ((code == 0)); then code=1; fi
  fi
  exit "$code"
}
on_end finish

run gcloud container clusters get-credentials "$CLUSTER" "${place[@]}"
find_existing found
if [[ -n $found ]]; then
  die "NAME is $NAME, and a JobSet of that name exists: delete it, or choose another name."
fi
run mkdir -p "$RESULTS"
if ((BUILD)); then build; fi
if [[ -n $NODE_POOL ]]; then
  find_pool found
  if [[ -n $found ]]; then
    die "NODE_POOL is $NODE_POOL, and a pool of that name exists: leave NODE_POOL empty to use it."
  fi
  create_pool
fi
create
state=Completed
wait_for_end
fetch_logs
if [[ $state != Completed ]]; then
  say "JobSet $NAME: $state"
  exit_code_of_pods
fi
run gcloud storage rsync --recursive "$WORKDIR" "$RESULTS/workdir"
