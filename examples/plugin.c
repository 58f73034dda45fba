/*
 * Uses kfast where it is installed and goes without where it is not: libkfast is loaded by dlopen,
 * as a plugin or another language's runtime does it. Not linked with libkfast.
 *
 *   cc plugin.c -o plugin $(pkg-config --cflags kfast) -ldl
 *   ./plugin [TOPIC [LIBRARY]]
 */
#include <dlfcn.h>
#include <kfast/kfast.h>
#include <stdio.h>
#include <string.h>

static struct {
  int (*producer_open)(const kfast_options_t*, kfast_producer_t**, char*, size_t);
  void (*producer_close)(kfast_producer_t*);
  int32_t (*topic)(kfast_producer_t*, const char*);
  int64_t (*send)(kfast_producer_t*, int32_t, const void*, size_t, const void*, size_t);
  int (*flush)(kfast_producer_t*, int);
  int (*reports)(kfast_producer_t*, kfast_report_t*, size_t);
  const char* (*last_error)(const kfast_producer_t*);
} kfast;

/* Stores a function's address; C has no cast from what dlsym returns. */
static int load(void* library, const char* name, void* function) {
  void* found = dlsym(library, name);
  if (found == NULL)
    return fprintf(stderr, "%s\n", dlerror()), -1;
  memcpy(function, &found, sizeof found);
  return 0;
}

/* The 0 in libkfast.so.0 is the ABI's number: whatever has it has these functions. */
static int load_kfast(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return fprintf(stderr, "without Kafka: %s\n", dlerror()), -1;
  if (load(library, "kfast_producer_open", &kfast.producer_open) == 0 &&
      load(library, "kfast_producer_close", &kfast.producer_close) == 0 &&
      load(library, "kfast_topic", &kfast.topic) == 0 &&
      load(library, "kfast_send", &kfast.send) == 0 &&
      load(library, "kfast_flush", &kfast.flush) == 0 &&
      load(library, "kfast_reports", &kfast.reports) == 0 &&
      load(library, "kfast_last_error", &kfast.last_error) == 0)
    return 0;
  return -1;
}

int main(int argc, char** argv) {
  kfast_producer_t* producer;
  kfast_report_t report;
  char why[512];
  if (load_kfast(argc > 2 ? argv[2] : "libkfast.so.0") != 0)
    return 1;
  if (kfast.producer_open(NULL, &producer, why, sizeof why) != 0)
    return fprintf(stderr, "%s\n", why), 1;
  int32_t topic = kfast.topic(producer, argc > 1 ? argv[1] : "lines");
  if (kfast.send(producer, topic, "plugin", 6, "loaded", 6) < 0 ||
      kfast.flush(producer, 10000) != 0)
    return fprintf(stderr, "%s\n", kfast.last_error(producer)), 1;
  while (kfast.reports(producer, &report, 1) == 1)
    printf("outcome %d partition %d offset %lld\n", (int)report.outcome, (int)report.partition,
           (long long)report.offset);
  kfast.producer_close(producer);
  return 0;
}
