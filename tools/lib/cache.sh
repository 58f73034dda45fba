# shellcheck shell=bash
# Where things live that are costly to make and do not belong to the tree. Exports
#   KFAST_CACHE            the cache folder (set it to move the cache)
#   KFAST_KAFKA_LIBS       the folder of Apache Kafka's jars, made by `tools/setup kafka`
#   KFAST_RDKAFKA_PREFIX   the newer librdkafka's prefix, or empty where the system's own is used

KFAST_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
export KFAST_ROOT

kfast_home() {
  if [ -n "${HOME:-}" ]; then echo "$HOME"; else getent passwd "$(id -u)" | cut -d: -f6; fi
}
KFAST_CACHE=${KFAST_CACHE:-${XDG_CACHE_HOME:-$(kfast_home)/.cache}/kfast}
case $KFAST_CACHE in /*) ;; *) KFAST_CACHE=$PWD/$KFAST_CACHE ;; esac
export KFAST_CACHE

KFAST_KAFKA_VERSION=4.1.0
export KFAST_KAFKA_LIBS=$KFAST_CACHE/kafka-$KFAST_KAFKA_VERSION/libs

# The distribution as one word, e.g. debian12: a library built on one does not fit another.
kfast_distro() {
  # shellcheck source=/dev/null
  (. /etc/os-release && echo "${ID:-linux}${VERSION_ID:-}")
}

# librdkafka older than this cannot log in with SASL/SCRAM to Kafka 3.7.2 and newer.
KFAST_RDKAFKA_MINIMUM=2.6.1

# Sets KFAST_RDKAFKA_PREFIX; call it again after the library was built.
find_rdkafka_prefix() {
  KFAST_RDKAFKA_PREFIX=
  if ! PKG_CONFIG_PATH='' pkg-config --atleast-version="$KFAST_RDKAFKA_MINIMUM" rdkafka 2>/dev/null; then
    local built
    for built in "$KFAST_CACHE"/librdkafka-*-"$(kfast_distro)"; do
      if [ -e "$built/lib/pkgconfig/rdkafka.pc" ]; then KFAST_RDKAFKA_PREFIX=$built; fi
    done
  fi
  export KFAST_RDKAFKA_PREFIX
}
find_rdkafka_prefix
