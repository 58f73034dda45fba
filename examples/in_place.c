/*
 * Makes a record's value in the ring itself, without a copy: kfast_reserve lends the room,
 * kfast_commit sends what was written there.
 *
 *   cc in_place.c -o in_place $(pkg-config --cflags --libs kfast)
 *   ./in_place [TOPIC]
 */
#include <kfast/kfast.h>
#include <stdio.h>

enum { ROOM = 256, COUNT = 3 };

int main(int argc, char** argv) {
  kfast_producer_t* producer;
  char why[512];
  if (kfast_producer_open(NULL, &producer, why, sizeof why) != 0)
    return fprintf(stderr, "%s\n", why), 1;
  kfast_record_t record = KFAST_RECORD_INIT;
  record.topic = kfast_topic(producer, argc > 1 ? argv[1] : "lines");
  record.key = "sensor";
  record.key_size = 6;
  record.value_size = ROOM; /* at most; what is not used goes back to the ring */
  for (int i = 0; i < COUNT; i++) {
    void* value;
    if (kfast_reserve(producer, &record, &value) != 0)
      return fprintf(stderr, "%s\n", kfast_last_error(producer)), 1;
    int size = snprintf(value, ROOM, "{\"reading\":%d,\"volts\":%.2f}", i, 3.3 + 0.01 * i);
    if (size < 0 || size >= ROOM) {
      kfast_cancel(producer); /* nothing is sent */
      return fprintf(stderr, "reading %d does not fit\n", i), 1;
    }
    int64_t position = kfast_commit(producer, (size_t)size);
    if (position < 0)
      return fprintf(stderr, "%s\n", kfast_last_error(producer)), 1;
    printf("record %lld has %d bytes\n", (long long)position, size);
  }
  if (kfast_flush(producer, 10000) != 0)
    return fprintf(stderr, "%s\n", kfast_last_error(producer)), 1;
  kfast_producer_close(producer);
  return 0;
}
