import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The tests' independent reader: Apache Kafka's own Java client behind JSON lines on stdin and
 * stdout.
 *
 * <p>Each request {"id", "command", "bootstrap", "properties", ...} runs in a thread of its own and
 * is answered by
 * {"id", "result"} or {"id", "error", "kind"}; a read sends {"id", "records"} lines before its
 * answer. Bytes are base64, null is null. The process ends when its stdin does.
 */
public final class Witness {
  private static final PrintStream replies = System.out;

  public static void main(String[] arguments) throws IOException {
    // Libraries may print; stdout carries replies only.
    System.setOut(System.err);
    ExecutorService threads = Executors.newCachedThreadPool();
    BufferedReader requests =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      JsonNode request = Request.json.readTree(line);
      threads.execute(() -> answer(request));
    }
    Runtime.getRuntime().halt(0);
  }

  private static void answer(JsonNode request) {
    ObjectNode reply = Request.json.createObjectNode();
    reply.set("id", request.get("id"));
    try {
      reply.set("result", run(request));
    } catch (Throwable thrown) {
      Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
      reply.put("kind", cause.getClass().getSimpleName());
      reply.put("error", String.valueOf(cause.getMessage()));
      if (!(cause instanceof org.apache.kafka.common.KafkaException)) {
        cause.printStackTrace();
      }
    }
    send(reply);
  }

  static void send(ObjectNode reply) {
    byte[] line;
    try {
      line = Request.json.writeValueAsBytes(reply);
    } catch (IOException unexpected) {
      throw new IllegalStateException(unexpected);
    }
    synchronized (replies) {
      replies.write(line, 0, line.length);
      replies.write('\n');
      replies.flush();
    }
  }

  private static JsonNode run(JsonNode request) throws Exception {
    switch (request.get("command").asText()) {
      case "ping":
        return Request.json.createObjectNode();
      case "format":
        return Topics.format(request);
      case "describe_cluster":
        return Topics.describeCluster(request);
      case "create_topic":
        return Topics.createTopic(request);
      case "create_topics":
        return Topics.createTopics(request);
      case "delete_topic":
        return Topics.deleteTopic(request);
      case "describe_topic":
        return Topics.describeTopic(request);
      case "move_leaders":
        return Topics.moveLeaders(request);
      case "configure_topic":
        return Topics.configureTopic(request);
      case "set_password":
        return Access.setPassword(request);
      case "allow":
        return Access.allow(request);
      case "offsets":
        return Topics.offsets(request);
      case "read":
        return Records.read(request);
      case "digest":
        return Records.digest(request);
      case "produce":
        return Records.produce(request);
      case "forget":
        return Request.forget(request);
      default:
        throw new IllegalArgumentException("no such command: " + request.get("command"));
    }
  }
}
