/*
 * Sends the lines of stdin from an event loop that never blocks: poll() waits on kfast_fd beside
 * the other descriptors, and reports are printed as they come.
 *
 *   cc event_loop.c -o event_loop $(pkg-config --cflags --libs kfast)
 *   tail -f /var/log/syslog | ./event_loop [TOPIC]
 */
#include <kfast/kfast.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char text[65536]; /* what was read and is not sent yet */
static size_t text_size;
static long waiting; /* records without a report */

/* Sends the whole lines of the text. Returns 0, or the code of the record that was refused. */
static int send_lines(kfast_producer_t* producer, int32_t topic, int ended) {
  size_t sent = 0;
  int64_t answer = 0;
  while (sent < text_size) {
    const char* line = text + sent;
    const char* newline = memchr(line, '\n', text_size - sent);
    if (newline == NULL && !ended && text_size - sent < sizeof text)
      break;
    size_t size = newline != NULL ? (size_t)(newline - line) : text_size - sent;
    answer = kfast_send(producer, topic, NULL, 0, line, size);
    if (answer < 0)
      break;
    waiting++;
    sent += size + (newline != NULL);
  }
  text_size -= sent;
  memmove(text, text + sent, text_size);
  return answer < 0 ? (int)answer : 0;
}

/* Until there is none left: from then on kfast_fd says when there are more. */
static void print_reports(kfast_producer_t* producer) {
  kfast_report_t reports[64];
  int count;
  while ((count = kfast_reports(producer, reports, 64)) > 0) {
    for (int i = 0; i < count; i++)
      printf(
          "record %lld: %s partition %d offset %lld\n", (long long)reports[i].position,
          reports[i].outcome == KFAST_DELIVERED ? "delivered" : kfast_kafka_error(reports[i].error),
          (int)reports[i].partition, (long long)reports[i].offset);
    waiting -= count;
  }
  fflush(stdout);
}

int main(int argc, char** argv) {
  kfast_producer_t* producer;
  char why[512];
  if (kfast_producer_open(NULL, &producer, why, sizeof why) != 0)
    return fprintf(stderr, "%s\n", why), 1;
  int32_t topic = kfast_topic(producer, argc > 1 ? argv[1] : "lines");
  for (int ended = 0;;) {
    print_reports(producer);
    int code = send_lines(producer, topic, ended);
    if (code != 0 && code != KFAST_ERR_QUEUE_FULL)
      return fprintf(stderr, "%s\n", kfast_last_error(producer)), 1;
    if (ended && text_size == 0 && waiting == 0)
      break;
    /* While the ring is full nothing more is read: the next report says that there is room. */
    struct pollfd wait[2] = {{kfast_fd(producer), POLLIN, 0},
                             {ended || code != 0 ? -1 : STDIN_FILENO, POLLIN, 0}};
    if (poll(wait, 2, -1) < 0)
      return perror("poll"), 1;
    if (wait[1].revents != 0) {
      ssize_t got = read(STDIN_FILENO, text + text_size, sizeof text - text_size);
      ended = got <= 0;
      text_size += got > 0 ? (size_t)got : 0;
    }
  }
  kfast_producer_close(producer);
  return 0;
}
