/* A worker that forks again and again while one of its threads sends and another one opens and
 * closes producers: fork_storm SOCKET_DIR TOPIC FORKS.
 *
 * Each child finds the handle that it inherited refused, and ends in one of the ways in which
 * children end; most send a record of their own. "forks N" is printed after each fork, and in the
 * end what was sent: "parent N children N". Exit status 1, and a sentence on stderr, when anything
 * is not as kfast.h says. Records of the parent have the key "parent" and a number from 0 as value,
 * those of the children the key "child" and the number of the fork.
 */

#include <kfast/kfast.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kLongestLifeS = 120, kWaitMs = 60000 };

static kfast_producer_t* inherited; /* what the sending thread uses */
static kfast_options_t* options;    /* of all producers */
static const char* topic_name;
static pid_t parent;
static atomic_bool stop;

static void fail(const char* what, const char* why) {
  fprintf(stderr, "fork_storm, %s: %s: %s\n", getpid() == parent ? "parent" : "child", what, why);
  _exit(1);
}

static kfast_producer_t* open_producer(void) {
  char why[512];
  kfast_producer_t* producer;
  for (int tries = 0;; ++tries) {
    const int code = kfast_producer_open(options, &producer, why, sizeof why);
    if (code == KFAST_OK) {
      return producer;
    }
    /* kfastd may just be restarted. */
    if (code != KFAST_ERR_NO_DAEMON || tries == kWaitMs / 20) {
      fail("open", why);
    }
    poll(NULL, 0, 20);
  }
}

/* ---- the parent's threads ---------------------------------------------------------------------*/

static void read_reports(uint64_t* delivered) {
  kfast_report_t reports[256];
  int count;
  while ((count = kfast_reports(inherited, reports, 256)) > 0) {
    for (int i = 0; i < count; ++i) {
      if (reports[i].outcome != KFAST_DELIVERED) {
        fail("a record was not delivered", kfast_kafka_error(reports[i].error));
      }
    }
    *delivered += (uint64_t)count;
  }
  if (count < 0) {
    fail("reports", kfast_last_error(inherited));
  }
}

/* By the descriptor alone, so that a child that disturbs it shows. */
static void wait_for_reports(uint64_t* delivered) {
  struct pollfd watched = {.fd = kfast_fd(inherited), .events = POLLIN, .revents = 0};
  if (poll(&watched, 1, kWaitMs) != 1) {
    fail("kfast_fd did not become readable", kfast_last_error(inherited));
  }
  read_reports(delivered);
}

static void* send_in_a_loop(void* sent_out) {
  uint64_t sent = 0;
  uint64_t delivered = 0;
  const int32_t topic = kfast_topic(inherited, topic_name);
  while (!atomic_load(&stop)) {
    const int64_t position = kfast_send(inherited, topic, "parent", 6, &sent, sizeof sent);
    if (position >= 0) {
      ++sent;
    } else if (position == KFAST_ERR_QUEUE_FULL) {
      read_reports(&delivered);
      if (delivered < sent) {
        wait_for_reports(&delivered);
      }
    } else {
      fail("send", kfast_last_error(inherited));
    }
  }
  read_reports(&delivered);
  while (delivered < sent) {
    wait_for_reports(&delivered);
  }
  if (delivered != sent || kfast_used_bytes(inherited) != 0) {
    fail("reports", "not one for each record");
  }
  *(uint64_t*)sent_out = sent;
  return NULL;
}

static void* open_and_close(void* unused) {
  while (!atomic_load(&stop)) {
    kfast_producer_close(open_producer());
  }
  return unused;
}

/* ---- a child ----------------------------------------------------------------------------------*/

static void close_inherited_at_exit(void) {
  if (getpid() != parent) {
    kfast_producer_close(inherited);
  }
}

static void refused(const char* call, int64_t answer) {
  if (answer != KFAST_ERR_FORKED) {
    fail(call, "not KFAST_ERR_FORKED");
  }
}

static void expect_all_refused(void) {
  kfast_report_t report;
  refused("send", kfast_send(inherited, 0, NULL, 0, "v", 1));
  refused("send_record",
          kfast_send_record(inherited, 0, -1, -1, NULL, 0, "v", 1, NULL, 0, kWaitMs));
  refused("topic", kfast_topic(inherited, "another"));
  refused("reports", kfast_reports(inherited, &report, 1));
  refused("flush", kfast_flush(inherited, -1));
  refused("fd", kfast_fd(inherited));
}

static void send_own(uint64_t number) {
  kfast_producer_t* own = open_producer();
  const int32_t topic = kfast_topic(own, topic_name);
  if (kfast_send(own, topic, "child", 5, &number, sizeof number) < 0 ||
      kfast_flush(own, kWaitMs) != KFAST_OK) {
    fail("own record", kfast_last_error(own));
  }
  kfast_producer_close(own);
}

static void be_a_child(uint64_t number) {
  alarm(kLongestLifeS); /* a child that hangs is a failure, not a test without an end */
  expect_all_refused();
  if (number % 4 != 0) {
    send_own(number);
  }
  switch (number % 3) {
    case 0:
      _exit(0);
    case 1:
      exit(0); /* closes it by atexit */
    default:
      kfast_producer_close(inherited);
      _exit(0);
  }
}

/* -----------------------------------------------------------------------------------------------*/

static void set_option(const char* name, const char* value) {
  char why[256];
  if (kfast_options_set(options, name, value, why, sizeof why) != KFAST_OK) {
    fail(name, why);
  }
}

int main(int argc, char** argv) {
  if (argc != 4) {
    return fprintf(stderr, "usage: fork_storm SOCKET_DIR TOPIC FORKS\n"), 2;
  }
  parent = getpid();
  topic_name = argv[2];
  const uint64_t forks = strtoull(argv[3], NULL, 10);
  options = kfast_options_new();
  set_option("socket.dir", argv[1]);
  set_option("ring.bytes", "64k");
  inherited = open_producer();
  atexit(close_inherited_at_exit);

  pthread_t sender;
  pthread_t opener;
  uint64_t sent = 0;
  if (pthread_create(&sender, NULL, send_in_a_loop, &sent) != 0 ||
      pthread_create(&opener, NULL, open_and_close, NULL) != 0) {
    fail("threads", "the system gives none");
  }
  uint64_t children = 0;
  for (uint64_t number = 0; number < forks; ++number) {
    const pid_t child = fork();
    if (child == 0) {
      be_a_child(number);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
      char how[64];
      snprintf(how, sizeof how, "status 0x%x", (unsigned)status);
      fail("a child did not end well", how);
    }
    children += number % 4 != 0;
    dprintf(STDOUT_FILENO, "forks %llu\n", (unsigned long long)number + 1);
  }
  atomic_store(&stop, true);
  pthread_join(opener, NULL);
  pthread_join(sender, NULL);
  kfast_producer_close(inherited);
  kfast_options_free(options);
  dprintf(STDOUT_FILENO, "parent %llu children %llu\n", (unsigned long long)sent,
          (unsigned long long)children);
  return 0;
}
