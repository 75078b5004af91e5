#!/usr/bin/env bash
# What launch/tpu_vm.sh runs on every worker of a Cloud TPU slice, from its copy of this repository:
#
#   tpu_worker.sh install PYTHON_VERSION
#   tpu_worker.sh run GRACE_SECONDS ARGUMENTS_OF_PYTHON...
#   tpu_worker.sh stop GRACE_SECONDS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Lets a run save: SIGTERM to python alone, once, and time to answer. An earlier run can be there
# because ssh does not end what it started when the connection is lost.
stop() {
  local pid deadline=$((SECONDS + $1))
  pid=$(cat run.pid 2>/dev/null) || return 0
  # The number can meanwhile be that of another process.
  if [[ $(ps -o args= -p "$pid") != *ferjax.main* ]]; then return; fi
  kill -TERM "$pid" || return 0
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS > deadline)); then kill -KILL "$pid" || true; fi
    sleep 0.2
  done
}

action=$1
shift
case $action in
  install)
    # The Python of the TPU software versions can be older than the one that ferjax needs.
    python3 -m pip install --quiet --user uv
    python3 -m uv venv --quiet --allow-existing --python "$1" .venv
    python3 -m uv pip install --quiet --python .venv/bin/python --constraint constraints.txt '.[tpu]'
    ;;
  run)
    stop "$1"
    shift
    # At a shutdown every process of the session gets SIGTERM; this one stays for python's answer.
    trap : HUP TERM
    code=0
    # shellcheck disable=SC2016 # $$ and $@ are those of the inner bash, which becomes python
    bash -c 'echo $$ >run.pid && exec .venv/bin/python "$@"' bash "$@" || code=$?
    echo "launch: worker exit code $code"
    exit "$code"
    ;;
  stop) stop "$1" ;;
  *)
    echo "error: unknown action $action: there are install, run and stop." >&2
    exit 2
    ;;
esac
