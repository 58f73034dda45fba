# shellcheck shell=bash
# A real one-node Apache Kafka for the demo and the benchmark, in a folder of its own, gone with its caller.
# Needs say.sh and cache.sh, and the jars of `tools/setup kafka`.

KAFKA_PID=
# It starts in 2 to 10 s; a machine that is busy with other things takes longer.
KAFKA_START_SECONDS=120
# Enough for a few topics. Thousands of partitions need more, or it does nothing but collect garbage.
KAFKA_HEAP=${KAFKA_HEAP:-384m}

# A TCP port of the loopback interface that nobody listens on; below 32768, where no outgoing connection is put.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

kafka_write_configuration() {
  local folder=$1 broker_port=$2 controller_port=$3
  cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$broker_port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$broker_port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$folder/data
num.partitions=4
auto.create.topics.enable=true
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
}

# kafka_start FOLDER: starts it with all of its data in FOLDER, waits until it serves, and sets KAFKA_BROKERS.
kafka_start() {
  local folder=$1 port deadline
  mkdir -p "$folder"
  port=$(free_port)
  kafka_write_configuration "$folder" "$port" "$(free_port)"
  say "starting Apache Kafka $KFAST_KAFKA_VERSION on 127.0.0.1:$port"
  java -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$KFAST_KAFKA_LIBS/*" \
    kafka.tools.StorageTool format -t "$(kafka_cluster_id)" -c "$folder/server.properties" >"$folder/format.log" 2>&1 ||
    { cat "$folder/format.log" >&2 && die "Kafka could not format its data folder $folder/data"; }
  # The kernel ends it with this shell, even if this shell is killed; setsid keeps Ctrl-C for us to handle.
  setsid setpriv --pdeathsig KILL java "-Xmx$KAFKA_HEAP" -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info -cp "$KFAST_KAFKA_LIBS/*" \
    kafka.Kafka "$folder/server.properties" >"$folder/kafka.log" 2>&1 </dev/null &
  KAFKA_PID=$!
  deadline=$((SECONDS + KAFKA_START_SECONDS))
  until grep -qs 'Kafka Server started' "$folder/kafka.log"; do
    if ! kill -0 "$KAFKA_PID" 2>/dev/null; then
      tail -n 20 "$folder/kafka.log" >&2
      die "Kafka ended at its start; the lines above are the end of its log"
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 20 "$folder/kafka.log" >&2
      die "Kafka does not serve after $KAFKA_START_SECONDS s; the lines above are the end of its log"
    fi
    sleep 0.1
  done
  # shellcheck disable=SC2034  # for the caller
  KAFKA_BROKERS=127.0.0.1:$port
}

# Any 16 bytes, in the 22 characters that Kafka writes them in.
kafka_cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c 1-22; }

# Stops it at once: its data is thrown away.
kafka_stop() {
  [ -n "$KAFKA_PID" ] || return 0
  kill -KILL "$KAFKA_PID" 2>/dev/null || true
  wait "$KAFKA_PID" 2>/dev/null || true
  KAFKA_PID=
}

# kafka_create_topic NAME PARTITIONS
kafka_create_topic() {
  java -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$KFAST_KAFKA_LIBS/*" \
    org.apache.kafka.tools.TopicCommand --bootstrap-server "$KAFKA_BROKERS" --create --if-not-exists \
    --topic "$1" --partitions "$2" >/dev/null || die "Kafka did not create the topic $1"
}
