# shellcheck shell=bash
# What a build calls itself. Needs cache.sh.

# The version of CMakeLists.txt.
source_version() { sed -n -E 's/^project\(kfast VERSION ([0-9.]+).*/\1/p' "$KFAST_ROOT/CMakeLists.txt"; }

# Debian's version of what is checked out: tag v1.2.3 makes 1.2.3, five commits later it is 1.2.3+git5.COMMIT; before
# the first tag 0.1.0~git123.COMMIT, which the release is newer than. +deb12 at the end says for which Debian it is
# built, in an order in which an upgrade of Debian is one of kfast.
package_version() {
  local described version release
  release=$(kfast_distro)
  if described=$(git -C "$KFAST_ROOT" describe --tags --match 'v[0-9]*' 2>/dev/null); then
    version=$(sed -E 's/^v//; s/-([0-9]+)-g([0-9a-f]+)$/+git\1.\2/' <<<"$described")
  elif described=$(git -C "$KFAST_ROOT" rev-parse --short HEAD 2>/dev/null); then
    version=$(source_version)~git$(git -C "$KFAST_ROOT" rev-list --count HEAD).$described
  else
    version=$(source_version)
  fi
  echo "$version+${release/debian/deb}"
}

# When what is checked out was committed, in seconds since 1970.
source_time() { git -C "$KFAST_ROOT" log -1 --format=%ct 2>/dev/null || echo 0; }
