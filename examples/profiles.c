/*
 * Two producers in one worker, each with a profile of kfastd.toml: what must not be lost waits for
 * every replica, what may be lost is cheap. A profile is librdkafka's properties under a name:
 *
 *   [profiles.default]          # acks=all, idempotence
 *   cluster = "main"
 *   [profiles.cheap]
 *   cluster = "main"
 *   acks = 1
 *   "enable.idempotence" = false
 *
 *   cc profiles.c -o profiles $(pkg-config --cflags --libs kfast)
 *   ./profiles [TOPIC-OF-ORDERS TOPIC-OF-CLICKS]
 */
#include <kfast/kfast.h>
#include <stdio.h>
#include <string.h>

static kfast_producer_t* open_profile(const char* profile, const char* reports) {
  kfast_producer_t* producer = NULL;
  char why[512] = "out of memory";
  kfast_options_t* options = kfast_options_new();
  if (options == NULL || kfast_options_set(options, "profile", profile, why, sizeof why) != 0 ||
      kfast_options_set(options, "reports", reports, why, sizeof why) != 0 ||
      kfast_producer_open(options, &producer, why, sizeof why) != 0)
    fprintf(stderr, "profile %s: %s\n", profile, why);
  kfast_options_free(options);
  return producer;
}

static int send_text(kfast_producer_t* producer, const char* topic, const char* text) {
  if (kfast_send(producer, kfast_topic(producer, topic), NULL, 0, text, strlen(text)) >= 0 &&
      kfast_flush(producer, 10000) == 0)
    return 0;
  fprintf(stderr, "%s: %s\n", topic, kfast_last_error(producer));
  return -1;
}

int main(int argc, char** argv) {
  int status = 1;
  kfast_producer_t* orders = open_profile("default", "all");
  kfast_producer_t* clicks = open_profile("cheap", "none");
  if (orders != NULL && clicks != NULL &&
      send_text(orders, argc > 2 ? argv[1] : "orders", "two pears") == 0 &&
      send_text(clicks, argc > 2 ? argv[2] : "clicks", "a button") == 0) {
    kfast_report_t report;
    while (kfast_reports(orders, &report, 1) == 1)
      printf("the order: %s partition %d offset %lld\n", kfast_kafka_error(report.error),
             (int)report.partition, (long long)report.offset);
    status = 0;
  }
  kfast_producer_close(orders);
  kfast_producer_close(clicks);
  return status;
}
