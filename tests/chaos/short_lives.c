/* Workers that live for a moment: short_lives SOCKET_DIR TOPIC ROUNDS AT_ONCE SEED.
 *
 * ROUNDS processes, AT_ONCE of them at a time: each connects, opens a producer, sends 1 to 8
 * records, and comes to its end: killed -9 at a random moment of all that or between two records,
 * gone without closing, closed at once, or closed when its reports are read. In the end one line
 * says what became of them: "killed N left N closed N read N accepted N uncounted N", where
 * accepted is how many sends returned ok, and uncounted how many more may be in the rings of the
 * killed. Exit status 1, and a sentence on stderr, when anything else happens to one of them.
 */
#include <errno.h>
#include <kfast/kfast.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kWaitMs = 120000, kMostRecords = 8, kMostAtOnce = 256 };
enum fate { kKilledAtAnyTime, kKilledBetweenSends, kLeaves, kCloses, kReadsReports, kFates };

/* What all processes see. */
struct ledger {
  atomic_ullong accepted;
  atomic_ullong life_ns; /* of one that closes at once, about */
};
static struct ledger* ledger;

static uint64_t random_state;

static uint64_t random_below(uint64_t limit) {
  random_state += 0x9e3779b97f4a7c15ULL;
  uint64_t z = random_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return (z ^ (z >> 31)) % limit;
}

static void fail(const char* what, const char* why) {
  fprintf(stderr, "short_lives: %s: %s\n", what, why);
  _exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* The kernel kills this process at a moment of its own choice within `ns`. */
static void be_killed_within(uint64_t ns) {
  timer_t timer;
  struct sigevent with = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  const uint64_t in = 1 + random_below(ns);
  const struct itimerspec when = {
      .it_interval = {0, 0}, .it_value = {(time_t)(in / 1000000000U), (long)(in % 1000000000U)}};
  if (timer_create(CLOCK_MONOTONIC, &with, &timer) != 0 ||
      timer_settime(timer, 0, &when, NULL) != 0) {
    fail("timer", strerror(errno));
  }
}

static void read_reports(kfast_producer_t* producer, uint64_t wanted) {
  kfast_report_t report;
  while (wanted > 0) {
    const int count = kfast_reports(producer, &report, 1);
    if (count < 0) {
      fail("reports", kfast_last_error(producer));
    }
    if (count == 1 && report.outcome != KFAST_DELIVERED) {
      fail("not delivered", kfast_kafka_error(report.error));
    }
    struct pollfd watched = {.fd = kfast_fd(producer), .events = POLLIN, .revents = 0};
    if (count == 0 && poll(&watched, 1, kWaitMs) != 1) {
      fail("reports", "they do not come");
    }
    wanted -= (uint64_t)count;
  }
}

static void live(const kfast_options_t* options, const char* topic, enum fate fate) {
  const uint64_t born = now_ns();
  const uint64_t records = 1 + random_below(kMostRecords);
  const uint64_t last = fate == kKilledBetweenSends ? random_below(records + 1) : records;
  if (fate == kKilledAtAnyTime) {
    be_killed_within(2 * atomic_load(&ledger->life_ns));
  }
  char why[512];
  kfast_producer_t* producer;
  if (kfast_producer_open(options, &producer, why, sizeof why) != KFAST_OK) {
    fail("open", why);
  }
  const int32_t number = kfast_topic(producer, topic);
  for (uint64_t sent = 0; sent < last; ++sent) {
    char value[1024];
    memset(value, '.', sizeof value);
    if (kfast_send(producer, number, "key", 3, value, random_below(sizeof value)) < 0) {
      fail("send", kfast_last_error(producer));
    }
    atomic_fetch_add(&ledger->accepted, 1);
  }
  switch (fate) {
    case kKilledAtAnyTime:
      for (;;) {
        pause();
      }
    case kKilledBetweenSends:
      raise(SIGKILL);
      break;
    case kReadsReports:
      read_reports(producer, records);
      kfast_producer_close(producer);
      break;
    case kCloses:
      kfast_producer_close(producer);
      atomic_store(&ledger->life_ns, now_ns() - born);
      break;
    case kLeaves:
    case kFates:
      break;
  }
  _exit(0);
}

int main(int argc, char** argv) {
  if (argc != 6) {
    return fprintf(stderr, "usage: short_lives SOCKET_DIR TOPIC ROUNDS AT_ONCE SEED\n"), 2;
  }
  const char* topic = argv[2];
  const uint64_t rounds = strtoull(argv[3], NULL, 10);
  const uint64_t at_once = strtoull(argv[4], NULL, 10);
  random_state = strtoull(argv[5], NULL, 10);
  ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  kfast_options_t* options = kfast_options_new();
  char why[256];
  if (ledger == MAP_FAILED || at_once == 0 || at_once > kMostAtOnce ||
      kfast_options_set(options, "socket.dir", argv[1], why, sizeof why) != KFAST_OK ||
      kfast_options_set(options, "ring.bytes", "16k", why, sizeof why) != KFAST_OK ||
      kfast_options_set(options, "topics", "4", why, sizeof why) != KFAST_OK ||
      kfast_options_set(options, "connect.timeout.ms", "120000", why, sizeof why) != KFAST_OK) {
    fail("start", "see the usage");
  }
  atomic_store(&ledger->life_ns, 2000000);

  const pid_t parent = getpid();
  struct {
    pid_t pid;
    enum fate fate;
  } living[kMostAtOnce] = {{0, kFates}};
  uint64_t ends[kFates] = {0};
  for (uint64_t begun = 0, ended = 0; ended < rounds;) {
    size_t slot = 0;
    while (begun < rounds && begun - ended < at_once) {
      const enum fate fate = (enum fate)random_below(kFates);
      const uint64_t seed = random_below(UINT64_MAX);
      while (living[slot].pid != 0) {
        ++slot;
      }
      const pid_t child = fork();
      if (child < 0) {
        fail("fork", strerror(errno));
      }
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
          random_state = seed;
          live(options, topic, fate);
        }
        _exit(1);
      }
      living[slot].pid = child;
      living[slot].fate = fate;
      ++begun;
    }
    int status = 0;
    const pid_t child = wait(&status);
    for (slot = 0; living[slot].pid != child; ++slot) {
    }
    const enum fate fate = living[slot].fate;
    const int wanted = fate == kKilledAtAnyTime || fate == kKilledBetweenSends ? SIGKILL : 0;
    if (status != wanted) {
      fail("a worker", "did not end as it should");
    }
    living[slot].pid = 0;
    ++ends[fate];
    ++ended;
  }
  printf("killed %llu left %llu closed %llu read %llu accepted %llu uncounted %llu\n",
         (unsigned long long)(ends[kKilledAtAnyTime] + ends[kKilledBetweenSends]),
         (unsigned long long)ends[kLeaves], (unsigned long long)ends[kCloses],
         (unsigned long long)ends[kReadsReports], atomic_load(&ledger->accepted),
         (unsigned long long)ends[kKilledAtAnyTime]);
  return 0;
}
