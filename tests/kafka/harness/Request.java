import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;

/** What all requests have: a deadline, a topic, a cluster to talk to. */
final class Request {
  static final ObjectMapper json = new ObjectMapper();
  private static final Map<String, Admin> admins = new ConcurrentHashMap<>();

  private Request() {}

  static long timeout(JsonNode request) {
    return request.path("timeout_ms").asLong(30_000);
  }

  static long deadline(JsonNode request) {
    return System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeout(request));
  }

  static String topic(JsonNode request) {
    return request.get("topic").asText();
  }

  /** What "topics" names, else the one "topic". */
  static List<String> topics(JsonNode request) {
    List<String> names = new ArrayList<>();
    request.path("topics").forEach(name -> names.add(name.asText()));
    return names.isEmpty() ? List.of(topic(request)) : names;
  }

  static byte[] bytes(JsonNode node) throws IOException {
    return node == null || node.isNull() ? null : node.binaryValue();
  }

  static Map<String, Object> clientProperties(JsonNode request) {
    Map<String, Object> properties = new HashMap<>();
    properties.put("bootstrap.servers", request.get("bootstrap").asText());
    properties.put("reconnect.backoff.ms", 20);
    properties.put("reconnect.backoff.max.ms", 200);
    request.path("properties")
        .properties()
        .forEach(p -> properties.put(p.getKey(), p.getValue().asText()));
    return properties;
  }

  private static String adminKey(JsonNode request) {
    return request.get("bootstrap").asText() + request.path("properties");
  }

  static Admin admin(JsonNode request) {
    return admins.computeIfAbsent(
        adminKey(request), key -> Admin.create(clientProperties(request)));
  }

  static <T> T within(Future<T> future, long deadline) throws Exception {
    return future.get(Math.max(1, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
  }

  /** A pause before another look at the cluster; throws when the time is over. */
  static void again(long deadline, String waitingFor) throws Exception {
    if (System.nanoTime() > deadline) {
      throw new TimeoutException("still waiting for " + waitingFor);
    }
    Thread.sleep(20);
  }

  /** Closes the connections to a cluster. */
  static JsonNode forget(JsonNode request) {
    String bootstrap = request.get("bootstrap").asText();
    admins.keySet().stream().filter(key -> key.startsWith(bootstrap)).toList().forEach(key -> {
      Admin admin = admins.remove(key);
      if (admin != null) {
        admin.close(Duration.ZERO);
      }
    });
    return json.createObjectNode();
  }
}
