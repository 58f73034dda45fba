# shellcheck shell=bash
# What the script that readme-script.awk makes of README.md calls. It stands before it.
set -eEuo pipefail
exec 3>&1
SAID=$(mktemp)
LINE=0
STARTED=
COMMANDS=0

failed() {
  # The trap has gone, so that it is not said twice.
  trap - ERR
  tail -n 60 "$SAID" >&3
  echo "README.md, in the block after line $LINE, fails: $1" >&3
  exit 1
}
trap 'failed "$BASH_COMMAND"' ERR
trap '[ -z "$STARTED" ] || kill "$STARTED"' EXIT

# at_line NUMBER: a block begins; what it prints is kept for `expect`.
at_line() {
  LINE=$1
  COMMANDS=$((COMMANDS + 1))
  echo "README.md:$LINE" >&3
  exec >"$SAID" 2>&1
}

# expect <LINES
expect() {
  local line
  while IFS= read -r line; do grep -qxF -- "$line" "$SAID" || failed "it does not print: $line"; done
}

# Runs in_background, and goes on when kfastd serves.
run_in_background() {
  local log
  log=$(mktemp)
  in_background >"$log" 2>&1 &
  STARTED=$!
  if ! grep -q ' serves ' <(exec tail -n +1 -f --pid="$STARTED" "$log"); then
    cp "$log" "$SAID"
    failed "what is to run in the background has ended"
  fi
}

# build_with_cmake <LINES: they find kfast and link `app` with it.
build_with_cmake() {
  local folder
  folder=$(mktemp -d)
  { echo 'cmake_minimum_required(VERSION 3.25)' && echo 'project(app C)' && cat; } >"$folder/CMakeLists.txt"
  # The target comes before what links it.
  sed -i "2a add_executable(app $PWD/examples/first_record.c)" "$folder/CMakeLists.txt"
  cmake -S "$folder" -B "$folder/build" -G Ninja
  cmake --build "$folder/build"
  "$folder/build/app"
}

finish() {
  exec >&3
  [ "$COMMANDS" -gt 0 ] || failed "README.md has no block of commands"
  echo "README.md: all $COMMANDS blocks of commands work"
}
