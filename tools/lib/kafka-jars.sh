# shellcheck shell=bash
# A real Apache Kafka: its jars, as Maven knows them, once, in the cache. Needs say.sh and cache.sh.

kafka_dependency() {
  printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>' "$@"
}

kafka_jars_fetch() {
  local work=$1
  cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kfast</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
$(kafka_dependency org.apache.kafka kafka_2.13 "$KFAST_KAFKA_VERSION")
$(kafka_dependency org.apache.kafka kafka-tools "$KFAST_KAFKA_VERSION")
$(kafka_dependency org.slf4j slf4j-simple 1.7.36)
  </dependencies>
</project>
POM
  mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/libs"
}

# Fetches them if they are not there. A run that is cut short leaves nothing that looks whole.
ensure_kafka_jars() {
  [ ! -d "$KFAST_KAFKA_LIBS" ] || return 0
  mkdir -p "$(dirname -- "$KFAST_KAFKA_LIBS")"
  local work lock
  exec {lock}>"$KFAST_CACHE/.kafka.lock"
  flock "$lock"
  if [ ! -d "$KFAST_KAFKA_LIBS" ]; then
    say "fetching Apache Kafka $KFAST_KAFKA_VERSION with Maven (54 MB, once): a real broker to run against"
    work=$(mktemp -d "$KFAST_CACHE/.kafka.XXXXXX")
    if quietly "$work/log" kafka_jars_fetch "$work"; then mv -T "$work/libs" "$KFAST_KAFKA_LIBS"; fi
    rm -rf "$work"
  fi
  exec {lock}>&-
  [ -d "$KFAST_KAFKA_LIBS" ] ||
    die "Maven could not fetch Apache Kafka: check this machine's network and ~/.m2/settings.xml"
}
