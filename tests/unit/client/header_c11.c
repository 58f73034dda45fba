/* A C program's view of kfast.h. */
#include "kfast/kfast.h"

int kfast_header_in_c(void);

int kfast_header_in_c(void) {
  kfast_header_t header = {"name", 4, "value", 5};
  kfast_report_t report = {0};
  const kfast_record_t record = KFAST_RECORD_INIT;
  return header.name_size == 4 && report.outcome == 0 && sizeof(kfast_report_t) == 32 &&
         sizeof(kfast_record_t) == 80 && record.topic == -1 && record.position == -1 &&
         record.key == NULL && record.partition == KFAST_ANY_PARTITION &&
         record.timestamp_ms == KFAST_NOW && kfast_strerror(KFAST_OK) != NULL;
}
