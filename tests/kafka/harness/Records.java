import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.FileRecords;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;

/** Commands that read and produce records. */
final class Records {
  private Records() {}

  private interface RecordSink {
    void take(ConsumerRecords<byte[], byte[]> records);
  }

  private interface NumberedSink {
    void take(int partition, byte[] key, byte[] value);
  }

  /**
   * Reads every partition from its beginning, up to the end offsets of now, or until "count"
   * records have come. Returns how many were read; throws TimeoutException when the time is over
   * first.
   */
  private static long consume(JsonNode request, RecordSink sink) throws Exception {
    long deadline = Request.deadline(request);
    Map<String, Object> properties = Request.clientProperties(request);
    properties.put("enable.auto.commit", "false");
    properties.put("allow.auto.create.topics", "false");
    properties.put("max.poll.records", "5000");
    properties.put("fetch.max.wait.ms", "100");
    properties.put("isolation.level", request.path("isolation").asText("read_uncommitted"));
    boolean toEnd = !request.hasNonNull("count");
    long count = request.path("count").asLong();
    long got = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
             properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<String> topics = Request.topics(request);
      Duration timeout = Duration.ofMillis(Request.timeout(request));
      Map<String, List<PartitionInfo>> known =
          topics.size() == 1 ? new HashMap<>() : consumer.listTopics(timeout);
      List<PartitionInfo> infos = new ArrayList<>();
      for (String topic : topics) {
        List<PartitionInfo> found =
            topics.size() == 1 ? consumer.partitionsFor(topic, timeout) : known.get(topic);
        if (found == null || found.isEmpty()) {
          throw new UnknownTopicOrPartitionException("no topic " + topic);
        }
        infos.addAll(found);
      }
      List<TopicPartition> partitions =
          infos.stream().map(i -> new TopicPartition(i.topic(), i.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> open = new HashMap<>(toEnd
              ? consumer.endOffsets(partitions, Duration.ofMillis(Request.timeout(request)))
              : Map.of());
      while (true) {
        // A position can pass the last record by control records, so it decides, not the records.
        open.entrySet().removeIf(e -> consumer.position(e.getKey()) >= e.getValue());
        if (toEnd ? open.isEmpty() : got >= count) {
          return got;
        }
        if (System.nanoTime() > deadline) {
          throw new TimeoutException("read " + got
              + (toEnd ? " records, partitions not at their end: " + open
                       : " of " + count + " records"));
        }
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
        got += records.count();
        sink.take(records);
      }
    }
  }

  static JsonNode read(JsonNode request) throws Exception {
    long count = consume(request, records -> {
      if (records.isEmpty()) {
        return;
      }
      ObjectNode reply = Request.json.createObjectNode();
      reply.set("id", request.get("id"));
      ArrayNode list = reply.putArray("records");
      for (ConsumerRecord<byte[], byte[]> record : records) {
        ArrayNode entry = list.addArray();
        entry.add(record.partition()).add(record.offset()).add(record.timestamp());
        entry.add(record.timestampType().name).add(record.key()).add(record.value());
        ArrayNode headers = entry.addArray();
        for (Header header : record.headers()) {
          headers.addArray().add(header.key()).add(header.value());
        }
        if (request.has("topics")) {
          entry.add(record.topic());
        }
      }
      Witness.send(reply);
    });
    return Request.json.createObjectNode().put("count", count);
  }

  /** What a partition's directory holds; its name is TOPIC-PARTITION, or that.ID-delete. */
  private static long readDirectory(Path directory, NumberedSink sink) throws IOException {
    String name = directory.getFileName().toString().replaceFirst("\\.[^.]*-delete$", "");
    int partition = Integer.parseInt(name.substring(name.lastIndexOf('-') + 1));
    List<Path> segments;
    try (Stream<Path> files = Files.list(directory)) {
      // Their names are their first offsets, all of one length.
      segments = files.filter(file -> file.toString().contains(".log")).sorted().toList();
    }
    long count = 0;
    for (Path segment : segments) {
      try (FileRecords file = FileRecords.open(segment.toFile(), false)) {
        for (Record record : file.records()) {
          sink.take(partition, bytes(record.key()), bytes(record.value()));
          count++;
        }
      }
    }
    return count;
  }

  private static byte[] bytes(ByteBuffer buffer) {
    return buffer == null ? null : Utils.toArray(buffer);
  }

  /**
   * Reads like "read", and tallies per producer: its id is the key's first "producer_bytes" bytes
   * (all of them by default), the first 8 bytes of a value are a little-endian sequence number from
   * 0 up to "expected". Of each kind of fault it lists the first "listed". What the partitions'
   * directories in "directories" hold, such as those of a topic that was deleted, comes first.
   */
  static JsonNode digest(JsonNode request) throws Exception {
    int producerBytes = request.path("producer_bytes").asInt(Integer.MAX_VALUE);
    long expected = request.path("expected").asLong(Integer.MAX_VALUE);
    int listed = request.path("listed").asInt(20);
    Map<ByteBuffer, Tally> tallies = new TreeMap<>();
    long[] malformed = {0};
    NumberedSink sink = (partition, givenKey, value) -> {
      byte[] key = givenKey == null ? new byte[0] : givenKey;
      if (value == null || value.length < 8) {
        malformed[0]++;
        return;
      }
      ByteBuffer producer = ByteBuffer.wrap(key, 0, Math.min(key.length, producerBytes));
      long sequence = ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN).getLong();
      tallies.computeIfAbsent(producer, unused -> new Tally(expected, listed))
          .take(partition, sequence, value);
    };
    long count = 0;
    for (JsonNode directory : request.path("directories")) {
      count += readDirectory(Path.of(directory.asText()), sink);
    }
    count += consume(request, records -> {
      for (ConsumerRecord<byte[], byte[]> record : records) {
        sink.take(record.partition(), record.key(), record.value());
      }
    });
    ObjectNode result = Request.json.createObjectNode();
    result.put("count", count).put("malformed", malformed[0]);
    ArrayNode producers = result.putArray("producers");
    tallies.forEach((producer, tally) -> {
      byte[] id = Arrays.copyOfRange(producer.array(), 0, producer.limit());
      producers.addArray().add(id).add(tally.result(Request.json.createObjectNode()));
    });
    return result;
  }

  static JsonNode produce(JsonNode request) throws Exception {
    Map<String, Object> properties = Request.clientProperties(request);
    properties.putIfAbsent("acks", "all");
    properties.putIfAbsent("linger.ms", "5");
    properties.putIfAbsent("max.block.ms", Request.timeout(request));
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    ObjectNode result = Request.json.createObjectNode();
    ArrayNode placed = result.putArray("placed");
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
             properties, new ByteArraySerializer(), new ByteArraySerializer())) {
      for (JsonNode entry : request.get("records")) {
        Integer partition = entry.hasNonNull("partition") ? entry.get("partition").asInt() : null;
        Long timestamp = entry.hasNonNull("timestamp") ? entry.get("timestamp").asLong() : null;
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(Request.topic(request), partition, timestamp,
                Request.bytes(entry.get("key")), Request.bytes(entry.get("value")));
        for (JsonNode header : entry.path("headers")) {
          record.headers().add(header.get(0).asText(), Request.bytes(header.get(1)));
        }
        sent.add(producer.send(record));
      }
      producer.flush();
      long deadline = Request.deadline(request);
      for (Future<RecordMetadata> future : sent) {
        RecordMetadata metadata = Request.within(future, deadline);
        placed.addArray()
            .add(metadata.partition())
            .add(metadata.offset())
            .add(metadata.timestamp());
      }
    }
    return result;
  }
}
