# Shared by the recipes of this folder, which source it: their variables, --help and --dry_run, and
# commands that are either printed or run. Nothing here knows about training.
# shellcheck shell=bash

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RESUMABLE=75 # ferjax's exit code for "stopped; the same command goes on"
DRY_RUN=0
FLAGS=() # what comes after --: flags of ferjax.main
restarts=0

declare -a variables required_variables numbers switches
declare -A defaults descriptions

say() { printf 'launch: %s\n' "$*" >&2; }

# die MESSAGE: ends the recipe with ferjax's exit code for what the user can put right.
die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# required|optional|number|switch NAME [DEFAULT] MEANING: a variable, read from the environment.
# A number without a default is required. A switch is 0 or 1.
required() {
  required_variables+=("$1")
  variable "$1" "" "$2"
}
optional() { variable "$1" "$2" "$3"; }
number() {
  numbers+=("$1")
  if [[ -z $2 ]]; then required_variables+=("$1"); fi
  variable "$1" "$2" "$3"
}
switch() {
  switches+=("$1")
  variable "$1" "$2" "$3"
}
variable() {
  variables+=("$1")
  defaults[$1]=$2
  descriptions[$1]=$3
  printf -v "$1" '%s' "${!1-$2}"
}

# What to train; the same in every recipe.
training_variables() { # WHAT WORKDIR MUST BE
  required CONFIG "config file with its arguments, as configs/cbam_island.py:loss=softmax"
  required WORKDIR "folder of the run; $1"
  optional DATA_DIR "" "folder of the prepared data sets, for --config.dataset.data_dir"
  optional COMPILATION_CACHE "" "folder of the compilation cache, for --config.compilation_cache"
  number MAX_RESTARTS 10 "how often to restart after exit code 75"
}

# start ARGUMENTS...: reads the command line and refuses variables that are missing or malformed.
start() {
  local name
  while (($#)); do
    case $1 in
      --dry_run) DRY_RUN=1 ;;
      --help | -h)
        usage
        exit 0
        ;;
      --)
        shift
        FLAGS=("$@")
        break
        ;;
      *) die "unknown argument $1: there are --dry_run and --help; flags of ferjax.main come after --." ;;
    esac
    shift
  done
  for name in "${required_variables[@]}"; do
    if [[ -z ${!name} ]]; then
      die "$name is not set (${descriptions[$name]}): set it before the command, as $name=... $0"
    fi
  done
  for name in "${numbers[@]}"; do
    if [[ ! ${!name} =~ ^[0-9]+$ ]]; then
      die "$name is '${!name}' where a whole number is expected (${descriptions[$name]})."
    fi
  done
  for name in "${switches[@]}"; do
    if [[ ! ${!name} =~ ^[01]$ ]]; then
      die "$name is '${!name}' where 0 or 1 is expected (${descriptions[$name]})."
    fi
  done
}

# The comment at the head of the recipe, then its variables.
usage() {
  awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"
  printf '\nVariables:\n'
  local name default
  for name in "${variables[@]}"; do
    default=${defaults[$name]:+ [default: ${defaults[$name]}]}
    case " ${required_variables[*]} " in *" $name "*) default=" [required]" ;; esac
    printf '  %-18s %s%s\n' "$name" "${descriptions[$name]}" "$default"
  done
}

require_bucket() {
  if [[ $WORKDIR != gs://* ]]; then
    die "WORKDIR is '$WORKDIR' where a gs:// folder is expected: every host writes to it, and it has to outlive them."
  fi
}

# shellcheck disable=SC2153 # NAME is a variable of the recipe
require_name() { # the rule of Google Cloud and Kubernetes, short enough for the names made from it
  if [[ ! $NAME =~ ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$ ]]; then
    die "NAME is '$NAME' where at most 40 lower-case letters, digits and hyphens are expected, a letter first."
  fi
}

# print_command WORDS...: one line that bash reads back as the same words.
print_command() {
  local line
  printf -v line '%q ' "$@"
  printf '%s\n' "${line% }"
}

# run WORDS...: runs the command, or prints it under --dry_run.
run() {
  if ((DRY_RUN)); then
    print_command "$@"
    return
  fi
  print_command + "$@" >&2
  "$@"
}

# query VARIABLE WORDS...: the command's output in VARIABLE; nothing under --dry_run.
query() {
  local -n answer=$1
  shift
  answer=""
  if ((DRY_RUN)); then
    print_command "$@"
    return
  fi
  # shellcheck disable=SC2034 # a name for the caller's variable
  answer=$("$@")
}

# run_into FILE WORDS...: its output goes to FILE.
run_into() {
  local file=$1
  shift
  if ((DRY_RUN)); then
    printf '%s > %q\n' "$(print_command "$@")" "$file"
    return
  fi
  print_command + "$@" >&2
  "$@" >"$file"
}

# ferjax_main PROCESSES: sets MAIN, what python is started with on every process.
ferjax_main() {
  MAIN=(-m ferjax.main "--config=$CONFIG" "--workdir=$WORKDIR" "--distributed=$1")
  if [[ -n $DATA_DIR ]]; then MAIN+=("--config.dataset.data_dir=$DATA_DIR"); fi
  if [[ -n $COMPILATION_CACHE ]]; then
    MAIN+=("--config.compilation_cache=$COMPILATION_CACHE")
  fi
  MAIN+=("${FLAGS[@]}")
}

# make_environment: installs ferjax into VENV, unless it is there; a half-made one is removed.
make_environment() {
  if [[ -x $VENV/bin/python ]]; then return; fi
  if [[ -e $VENV ]]; then
    die "VENV is '$VENV', which exists and has no bin/python: remove it or name another folder."
  fi
  on_end abandon_environment
  run "$PYTHON" -m venv "$VENV"
  run "$VENV/bin/python" -m pip install --constraint "$REPOSITORY/constraints.txt" \
    --editable "${REPOSITORY}[$EXTRA]"
  trap - EXIT HUP INT TERM
}
# shellcheck disable=SC2329 # called by the trap
abandon_environment() {
  say "ferjax could not be installed into $VENV"
  if ((!KEEP)); then run rm -rf "$VENV"; fi
  exit "$1"
}

# may_restart CODE: whether the run starts again, which it then counts.
may_restart() {
  if (($1 != RESUMABLE)); then return 1; fi
  if ((restarts >= MAX_RESTARTS)); then
    say "exit code $1 after $restarts restarts: MAX_RESTARTS is reached; the same command goes on"
    return 1
  fi
  restarts=$((restarts + 1))
  say "stopped and resumable: restart $restarts of $MAX_RESTARTS"
}

# run_and_wait WORDS...: runs the command in the background, so that traps are answered at once, and
# returns its exit code. It goes through a file: bash loses that of a child which ends while a trap
# interrupts `wait`. Meanwhile `runner` is the process whose only child is the command.
runner=""
run_and_wait() {
  local file code
  file=$(mktemp)
  {
    trap : HUP INT TERM
    code=0
    "$@" || code=$?
    echo "$code" >"$file"
  } &
  runner=$!
  while [[ ! -s $file ]] && kill -0 "$runner" 2>/dev/null; do wait "$runner" || true; done
  read -r code <"$file" || code=1
  rm -f "$file"
  runner=""
  return "$code"
}

# pause SECONDS: a sleep during which traps are answered at once. What it leaves behind then holds
# no pipe open.
pause() {
  sleep "$1" >/dev/null 2>&1 &
  wait $!
}

# on_end FUNCTION: calls it with the exit code however the recipe ends. It must end with `exit`.
on_end() {
  # shellcheck disable=SC2064 # the name is meant now, the exit code later
  trap "$1 \$?" EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}
