// kfast.hpp in a program without exceptions.
#include "kfast/kfast.hpp"

bool kfast_header_without_exceptions();

bool kfast_header_without_exceptions() {
  kfast::Options options;
  const auto set = options.set("ring.byte", "4m");
  return !set && set.error().code() == KFAST_ERR_UNKNOWN_OPTION;
}
