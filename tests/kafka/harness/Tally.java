import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;

/** What one producer's records in a topic amount to. */
final class Tally {
  private final long expected;
  private final int listed;
  private final BitSet seen = new BitSet();
  private final Map<Integer, Long> lastNew = new HashMap<>();
  private final List<Long> outOfOrder = new ArrayList<>();
  private final List<Long> unexpected = new ArrayList<>();
  private final List<Long> again = new ArrayList<>();
  private long records;
  private long duplicates;
  private long outOfOrderCount;
  private long unexpectedCount;
  private long crcSum;

  /**
   * Sequence numbers run from 0 up to, not including, `expected`; Integer.MAX_VALUE when nobody
   * knows. Of each kind of fault, the first `listed` sequence numbers are kept.
   */
  Tally(long expected, int listed) {
    this.expected = expected;
    this.listed = listed;
  }

  void take(int partition, long sequence, byte[] value) {
    records++;
    if (sequence < 0 || sequence >= expected) {
      unexpectedCount++;
      if (unexpected.size() < listed) {
        unexpected.add(sequence);
      }
      return;
    }
    if (seen.get((int) sequence)) {
      duplicates++;
      if (again.size() < listed) {
        again.add(sequence);
      }
      return;
    }
    seen.set((int) sequence);
    CRC32 crc = new CRC32();
    crc.update(value);
    crcSum += crc.getValue();
    long last = lastNew.getOrDefault(partition, -1L);
    if (sequence < last) {
      outOfOrderCount++;
      if (outOfOrder.size() < listed) {
        outOfOrder.add(sequence);
      }
    } else {
      lastNew.put(partition, sequence);
    }
  }

  /** Fills `result` with the counts and the first few sequence numbers of each kind of fault. */
  ObjectNode result(ObjectNode result) {
    long end = expected == Integer.MAX_VALUE ? seen.length() : expected;
    result.put("records", records)
        .put("distinct", seen.cardinality())
        .put("duplicates", duplicates);
    result.put("out_of_order", outOfOrderCount).put("missing", end - seen.cardinality());
    result.put("unexpected", unexpectedCount).put("crc_sum", crcSum).put("last", seen.length() - 1);
    ArrayNode missing = result.putArray("first_missing");
    for (int i = seen.nextClearBit(0); i < end && missing.size() < listed;
         i = seen.nextClearBit(i + 1)) {
      missing.add(i);
    }
    again.forEach(result.putArray("first_duplicates")::add);
    outOfOrder.forEach(result.putArray("first_out_of_order")::add);
    unexpected.forEach(result.putArray("first_unexpected")::add);
    return result;
  }
}
