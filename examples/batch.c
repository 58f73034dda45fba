/*
 * Sends many records by one call, which costs less for each: kfast_send_batch.
 *
 *   cc batch.c -o batch $(pkg-config --cflags --libs kfast)
 *   ./batch [TOPIC]
 */
#include <kfast/kfast.h>
#include <stdio.h>

enum { COUNT = 1000, TIMEOUT_MS = 10000 };

static kfast_record_t records[COUNT];
static char values[COUNT][32];

int main(int argc, char** argv) {
  kfast_producer_t* producer;
  char why[512];
  if (kfast_producer_open(NULL, &producer, why, sizeof why) != 0)
    return fprintf(stderr, "%s\n", why), 1;
  int32_t topic = kfast_topic(producer, argc > 1 ? argv[1] : "lines");
  for (int i = 0; i < COUNT; i++) {
    records[i] = (kfast_record_t)KFAST_RECORD_INIT;
    records[i].topic = topic;
    records[i].value = values[i];
    records[i].value_size = (size_t)snprintf(values[i], sizeof values[i], "measurement %d", i);
  }

  /* Fewer than given: the next one was refused, and `position` is the code that says why. */
  int accepted = kfast_send_batch(producer, records, COUNT, TIMEOUT_MS);
  if (accepted < COUNT)
    return fprintf(stderr, "record %d: %s\n", accepted < 0 ? 0 : accepted,
                   kfast_last_error(producer)),
           1;
  if (kfast_flush(producer, TIMEOUT_MS) != 0)
    return fprintf(stderr, "%s\n", kfast_last_error(producer)), 1;

  kfast_report_t reports[64];
  int count, delivered = 0;
  while ((count = kfast_reports(producer, reports, 64)) > 0)
    for (int i = 0; i < count; i++)
      delivered += reports[i].outcome == KFAST_DELIVERED;
  printf("%d accepted, %d delivered\n", accepted, delivered);
  kfast_producer_close(producer);
  return delivered == accepted ? 0 : 1;
}
