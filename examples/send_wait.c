/*
 * Sends one record and waits for what became of it: its partition and offset, or Kafka's error.
 *
 *   cc send_wait.c -o send_wait $(pkg-config --cflags --libs kfast)
 *   ./send_wait TOPIC VALUE
 */
#include <kfast/kfast.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  if (argc != 3)
    return fprintf(stderr, "usage: send_wait TOPIC VALUE\n"), 2;
  kfast_producer_t* producer;
  char why[512];
  if (kfast_producer_open(NULL, &producer, why, sizeof why) != 0)
    return fprintf(stderr, "%s\n", why), 1;
  kfast_record_t record = KFAST_RECORD_INIT;
  record.topic = kfast_topic(producer, argv[1]);
  record.value = argv[2];
  record.value_size = strlen(argv[2]);

  kfast_report_t report;
  if (kfast_send_wait(producer, &record, 30000, &report) != 0) {
    /* No outcome yet. With a position the record was accepted and may still be delivered. */
    fprintf(stderr, "%s: %s\n", report.position < 0 ? "not accepted" : "accepted",
            kfast_last_error(producer));
  } else if (report.outcome == KFAST_DELIVERED) {
    printf("partition %d offset %lld\n", (int)report.partition, (long long)report.offset);
    kfast_producer_close(producer);
    return 0;
  } else {
    fprintf(stderr, "%s: %s\n", report.outcome == KFAST_FAILED ? "not in Kafka" : "may be in Kafka",
            kfast_kafka_error(report.error));
  }
  kfast_producer_close(producer);
  return 1;
}
