import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Commands about clusters and topics. */
final class Topics {
  private Topics() {}

  /** Formats a node's storage in this JVM: a JVM of its own would cost each node a second. */
  static JsonNode format(JsonNode request) {
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    String[] arguments = Request.json.convertValue(request.get("arguments"), String[].class);
    int status;
    synchronized (Topics.class) {
      status = kafka.tools.StorageTool.execute(arguments, new PrintStream(printed, true));
    }
    if (status != 0) {
      throw new IllegalStateException("StorageTool: " + printed);
    }
    return Request.json.createObjectNode().put("printed", printed.toString());
  }

  static JsonNode describeCluster(JsonNode request) throws Exception {
    DescribeClusterOptions options =
        new DescribeClusterOptions().timeoutMs((int) Request.timeout(request));
    DescribeClusterResult cluster = Request.admin(request).describeCluster(options);
    ObjectNode result = Request.json.createObjectNode();
    result.put("id", cluster.clusterId().get());
    Node controller = cluster.controller().get();
    if (controller == null) {
      result.putNull("controller");
    } else {
      result.put("controller", controller.id());
    }
    ArrayNode nodes = result.putArray("nodes");
    cluster.nodes().get().forEach(node -> nodes.add(node.id()));
    return result;
  }

  static JsonNode createTopic(JsonNode request) throws Exception {
    long deadline = Request.deadline(request);
    Optional<Short> replication = Optional.ofNullable(request.get("replication"))
                                      .filter(n -> !n.isNull())
                                      .map(n -> (short) n.asInt());
    NewTopic topic = new NewTopic(
        Request.topic(request), Optional.of(request.get("partitions").asInt()), replication);
    Map<String, String> configs = new HashMap<>();
    request.path("configs").properties().forEach(
        c -> configs.put(c.getKey(), c.getValue().asText()));
    Request.within(
        Request.admin(request).createTopics(List.of(topic.configs(configs))).all(), deadline);
    // The controller has it; it is of use when every partition's leader answers for it.
    while (true) {
      try {
        TopicDescription description = describe(request, deadline);
        boolean whole = description.partitions().stream().allMatch(
            p -> p.leader() != null && p.isr().size() == p.replicas().size());
        if (whole) {
          listOffsets(request, description, OffsetSpec.latest(), deadline);
          return described(description);
        }
      } catch (ExecutionException failed) {
        if (!(failed.getCause() instanceof RetriableException)) {
          throw failed;
        }
      }
      Request.again(deadline, "the leaders of topic " + Request.topic(request));
    }
  }

  /** Many at once; returns when every partition's leader answers for it. */
  static JsonNode createTopics(JsonNode request) throws Exception {
    long deadline = Request.deadline(request);
    Optional<Integer> partitions = Optional.of(request.get("partitions").asInt());
    List<String> names = Request.topics(request);
    Request.within(
        Request.admin(request)
            .createTopics(
                names.stream().map(n -> new NewTopic(n, partitions, Optional.empty())).toList())
            .all(),
        deadline);
    while (true) {
      try {
        boolean led =
            Request.within(Request.admin(request).describeTopics(names).allTopicNames(), deadline)
                .values()
                .stream()
                .flatMap(topic -> topic.partitions().stream())
                .allMatch(p -> p.leader() != null && !p.leader().isEmpty());
        if (led) {
          Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
          for (String name : names) {
            for (int partition = 0; partition < partitions.get(); ++partition) {
              wanted.put(new TopicPartition(name, partition), OffsetSpec.latest());
            }
          }
          Request.within(Request.admin(request).listOffsets(wanted).all(), deadline);
          return Request.json.createObjectNode();
        }
      } catch (ExecutionException failed) {
        if (!(failed.getCause() instanceof RetriableException)) {
          throw failed;
        }
      }
      Request.again(deadline, "the leaders of " + names.size() + " topics");
    }
  }

  static JsonNode deleteTopic(JsonNode request) throws Exception {
    long deadline = Request.deadline(request);
    Request.within(
        Request.admin(request).deleteTopics(List.of(Request.topic(request))).all(), deadline);
    while (true) {
      try {
        describe(request, deadline);
      } catch (ExecutionException failed) {
        if (failed.getCause() instanceof UnknownTopicOrPartitionException) {
          return Request.json.createObjectNode();
        }
        throw failed;
      }
      Request.again(deadline, "topic " + Request.topic(request) + " to disappear");
    }
  }

  private static TopicDescription describe(JsonNode request, long deadline) throws Exception {
    String topic = Request.topic(request);
    return Request
        .within(Request.admin(request).describeTopics(List.of(topic)).allTopicNames(), deadline)
        .get(topic);
  }

  static JsonNode describeTopic(JsonNode request) throws Exception {
    return described(describe(request, Request.deadline(request)));
  }

  private static ObjectNode described(TopicDescription description) {
    ObjectNode result = Request.json.createObjectNode();
    result.put("name", description.name());
    ArrayNode partitions = result.putArray("partitions");
    for (TopicPartitionInfo info : description.partitions()) {
      ObjectNode partition = partitions.addObject();
      partition.put("partition", info.partition());
      if (info.leader() == null || info.leader().isEmpty()) {
        partition.putNull("leader");
      } else {
        partition.put("leader", info.leader().id());
      }
      ArrayNode replicas = partition.putArray("replicas");
      info.replicas().forEach(node -> replicas.add(node.id()));
      ArrayNode isr = partition.putArray("isr");
      info.isr().forEach(node -> isr.add(node.id()));
    }
    return result;
  }

  /** Every partition goes to the next of its replicas, which becomes the preferred one. */
  static JsonNode moveLeaders(JsonNode request) throws Exception {
    long deadline = Request.deadline(request);
    Admin admin = Request.admin(request);
    Map<TopicPartition, List<Integer>> wanted = new HashMap<>();
    Map<TopicPartition, Optional<NewPartitionReassignment>> moves = new HashMap<>();
    for (TopicPartitionInfo info : describe(request, deadline).partitions()) {
      TopicPartition partition = new TopicPartition(Request.topic(request), info.partition());
      List<Integer> replicas = ids(info.replicas());
      Collections.rotate(replicas, -1);
      wanted.put(partition, replicas);
      moves.put(partition, Optional.of(new NewPartitionReassignment(replicas)));
    }
    Request.within(admin.alterPartitionReassignments(moves).all(), deadline);
    while (true) {
      // An election that is not needed is an error, and so is one of a broker that is not in sync.
      admin.electLeaders(ElectionType.PREFERRED, wanted.keySet()).partitions().get();
      TopicDescription description = describe(request, deadline);
      boolean moved = description.partitions().stream().allMatch(info -> {
        List<Integer> replicas =
            wanted.get(new TopicPartition(description.name(), info.partition()));
        return ids(info.replicas()).equals(replicas) && info.leader() != null
            && info.leader().id() == replicas.get(0);
      });
      if (moved) {
        return described(description);
      }
      Request.again(deadline, "the leaders of topic " + Request.topic(request) + " to move");
    }
  }

  private static List<Integer> ids(List<Node> nodes) {
    List<Integer> ids = new ArrayList<>();
    nodes.forEach(node -> ids.add(node.id()));
    return ids;
  }

  static JsonNode configureTopic(JsonNode request) throws Exception {
    List<AlterConfigOp> changes = new ArrayList<>();
    request.get("configs").properties().forEach(c
        -> changes.add(new AlterConfigOp(
            new ConfigEntry(c.getKey(), c.getValue().asText()), AlterConfigOp.OpType.SET)));
    ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, Request.topic(request));
    Request.within(Request.admin(request).incrementalAlterConfigs(Map.of(topic, changes)).all(),
        Request.deadline(request));
    return Request.json.createObjectNode();
  }

  private static Map<TopicPartition, ListOffsetsResult.ListOffsetsResultInfo> listOffsets(
      JsonNode request, TopicDescription description, OffsetSpec which, long deadline)
      throws Exception {
    Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
    description.partitions().forEach(
        p -> wanted.put(new TopicPartition(description.name(), p.partition()), which));
    return Request.within(Request.admin(request).listOffsets(wanted).all(), deadline);
  }

  static JsonNode offsets(JsonNode request) throws Exception {
    long deadline = Request.deadline(request);
    TopicDescription description = describe(request, deadline);
    var first = listOffsets(request, description, OffsetSpec.earliest(), deadline);
    var end = listOffsets(request, description, OffsetSpec.latest(), deadline);
    ObjectNode result = Request.json.createObjectNode();
    ArrayNode partitions = result.putArray("partitions");
    description.partitions().forEach(p -> {
      TopicPartition partition = new TopicPartition(description.name(), p.partition());
      partitions.addArray().add(first.get(partition).offset()).add(end.get(partition).offset());
    });
    return result;
  }
}
