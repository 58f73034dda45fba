# shellcheck shell=bash
# A kfastd of one's own, in a private folder, for the length of a script. Needs say.sh.

KFASTD_PID=

# daemon_start FOLDER KFASTD KFASTCTL ARGUMENT…: starts kfastd with its sockets in FOLDER and waits until it accepts
# sends. Exports KFAST_SOCKET_DIR, by which every client finds it.
daemon_start() {
  local folder=$1 kfastd=$2 kfastctl=$3
  shift 3
  (umask 077 && mkdir -p "$folder")
  export KFAST_SOCKET_DIR=$folder
  # The kernel ends it with this shell, even if this shell is killed; setsid keeps Ctrl-C for us to handle.
  setsid setpriv --pdeathsig TERM "$kfastd" --socket-dir "$folder" "$@" >"$folder/kfastd.log" 2>&1 </dev/null &
  KFASTD_PID=$!
  if ! "$kfastctl" health --wait 10 >"$folder/health" 2>&1; then
    tail -n 30 "$folder/kfastd.log" "$folder/health" >&2
    die "kfastd did not become ready; the lines above are its log"
  fi
}

# Stops it as an operator would: what it still holds is flushed first.
daemon_stop() {
  [ -n "$KFASTD_PID" ] || return 0
  kill -TERM "$KFASTD_PID" 2>/dev/null || true
  wait "$KFASTD_PID" 2>/dev/null || true
  KFASTD_PID=
}

# daemon_configuration FILE BROKERS: one cluster, one profile, everything allowed to the user who runs this.
daemon_configuration() {
  cat >"$1" <<TOML
[clusters.main]
"bootstrap.servers" = "$2"

[profiles.default]
cluster = "main"

[[allow]]
user = "$(id -un)"
produce = ["*"]
TOML
}
