/* Sends one record and prints its delivery report. Build and run it as README.md says. */
#include <kfast/kfast.h>
#include <stdio.h>

int main(void) {
  kfast_producer_t* producer;
  kfast_report_t report;
  char why[512];
  if (kfast_producer_open(NULL, &producer, why, sizeof why) != 0)
    return fprintf(stderr, "%s\n", why), 1;
  int64_t position = kfast_send(producer, kfast_topic(producer, "lines"), "key", 3, "value", 5);
  if (position < 0 || kfast_flush(producer, 5000) != 0)
    return fprintf(stderr, "%s\n", kfast_last_error(producer)), 1;
  while (kfast_reports(producer, &report, 1) == 1)
    printf("outcome %d error %s partition %d offset %lld\n", (int)report.outcome,
           kfast_kafka_error(report.error), (int)report.partition, (long long)report.offset);
  kfast_producer_close(producer);
  return 0;
}
