# shellcheck shell=bash
# A real systemd to test services with: boots this machine's own file system, or the one in SYSTEMD_BASE, below one that
# is lost afterwards, as a container. Needs say.sh, cache.sh and apt.sh.

SYSTEMD_BASE=/
SYSTEMD_TREE=

# Whether one can be booted here: that takes root or sudo, overlays and systemd-nspawn, which a container may forbid.
can_boot_systemd() {
  as_root unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root &&
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root &&
    systemd-nspawn -q --register=no --keep-unit --private-network --pipe -D /mnt/root true' >/dev/null 2>&1 </dev/null
}

# under_systemd FOLDER COMMAND…: boots, runs the command in it as root, and powers off. FOLDER is the only place whose
# changes stay; its file `output` gets what the command prints. The status is the command's. Needs a subshell of its own,
# for its traps.
under_systemd() {
  local folder=$1 status=0 unit place
  local -a binds=(--bind="$1")
  shift
  trap remove_systemd_tree EXIT
  trap 'exit 143' INT TERM HUP
  SYSTEMD_TREE=$(mktemp -d "${TMPDIR:-/tmp}/kfast-systemd.XXXXXX")
  as_root mount -t tmpfs tmpfs "$SYSTEMD_TREE" || die "cannot mount a tmpfs: a systemd cannot be booted here"
  as_root mkdir "$SYSTEMD_TREE/upper" "$SYSTEMD_TREE/work" "$SYSTEMD_TREE/root"
  as_root mount -t overlay overlay \
    -o "lowerdir=$SYSTEMD_BASE,upperdir=$SYSTEMD_TREE/upper,workdir=$SYSTEMD_TREE/work" "$SYSTEMD_TREE/root" ||
    die "cannot mount an overlay over $SYSTEMD_BASE: a systemd cannot be booted here"
  # What this machine has enabled is not to start a second time, and /tmp, where the repository may lie, stays.
  as_root find "$SYSTEMD_TREE/root/etc/systemd/system" -name '*.wants' -prune -exec rm -r {} +
  for unit in tmp.mount systemd-tmpfiles-setup.service systemd-tmpfiles-clean.timer; do
    as_root ln -sf /dev/null "$SYSTEMD_TREE/root/etc/systemd/system/$unit"
  done
  rm -f "$folder/status" "$folder/output"
  systemd_unit "$folder" "$@" | as_root tee "$SYSTEMD_TREE/root/etc/systemd/system/kfast-run.service" >/dev/null
  # The overlay shows one file system.
  for place in "$KFAST_ROOT" "$KFAST_CACHE"; do
    if [ "$SYSTEMD_BASE" != / ] || [ "$(stat -c %d "$place")" != "$(stat -c %d /)" ]; then binds+=(--bind="$place"); fi
  done
  as_root env SYSTEMD_NSPAWN_TMPFS_TMP=0 systemd-nspawn -q --register=no --keep-unit --private-network --console=pipe \
    "${binds[@]}" -D "$SYSTEMD_TREE/root" -b systemd.unit=kfast-run.service </dev/null >"$folder/console" 2>&1 || true
  if [ ! -e "$folder/status" ]; then
    tail -n 30 "$folder/console"
    die "the systemd that was booted did not run the command; above is its console"
  fi
  read -r status <"$folder/status"
  return "$status"
}

# systemd_unit FOLDER COMMAND…: the unit that runs the command.
systemd_unit() {
  local folder=$1
  shift
  cat <<UNIT
[Unit]
Wants=dbus.socket
After=dbus.socket
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
Environment="HOME=$(kfast_home)" "KFAST_CACHE=$KFAST_CACHE" "KFAST_BUILD=${KFAST_BUILD:-}"
WorkingDirectory=$KFAST_ROOT
StandardOutput=append:$folder/output
StandardError=append:$folder/output
ExecStart=/bin/sh -c '"\$\$@"; echo \$\$? >"$folder/status"' sh $(printf '"%s" ' "$@")
UNIT
}

remove_systemd_tree() {
  [ -n "$SYSTEMD_TREE" ] || return 0
  as_root umount "$SYSTEMD_TREE/root" 2>/dev/null || true
  as_root umount "$SYSTEMD_TREE" 2>/dev/null || true
  rmdir "$SYSTEMD_TREE"
  SYSTEMD_TREE=
}
