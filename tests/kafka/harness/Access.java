import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Commands about who may log in and do what. */
final class Access {
  private static final int ITERATIONS = 4096;

  private Access() {}

  /** Gives a user a SCRAM-SHA-256 password, in the place of the one it has. */
  static JsonNode setPassword(JsonNode request) throws Exception {
    var credential = new UserScramCredentialUpsertion(request.get("user").asText(),
        new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, ITERATIONS),
        request.get("password").asText());
    Request.within(
        Request.admin(request).alterUserScramCredentials(List.of(credential)).all(),
        Request.deadline(request));
    return Request.json.createObjectNode();
  }

  /** Allows a user operations on a topic. */
  static JsonNode allow(JsonNode request) throws Exception {
    var topic =
        new ResourcePattern(ResourceType.TOPIC, Request.topic(request), PatternType.LITERAL);
    List<AclBinding> bindings = new ArrayList<>();
    for (JsonNode operation : request.get("operations")) {
      bindings.add(new AclBinding(topic,
          new AccessControlEntry("User:" + request.get("user").asText(), "*",
              AclOperation.fromString(operation.asText()), AclPermissionType.ALLOW)));
    }
    Request.within(
        Request.admin(request).createAcls(bindings).all(), Request.deadline(request));
    return Request.json.createObjectNode();
  }
}
