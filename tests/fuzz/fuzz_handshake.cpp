// Packets, descriptors and bells against the real server and shard: whatever a client says, the
// daemon keeps nothing of it once the client is gone, and answers the next one.
#include "daemon_under_test.hpp"
#include "fuzz_client.hpp"

namespace {

kfast::fuzz::DaemonUnderTest* g_daemon = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  static kfast::fuzz::DaemonUnderTest daemon;
  g_daemon = &daemon;
  kfast::fuzz::FuzzClient::expect_welcome(daemon.session_socket());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Measured once, before the first input and after a first session: what the daemon has for
  // itself.
  static const std::size_t before = [] {
    g_daemon->expect_nothing_held(SIZE_MAX);
    return kfast::fuzz::DaemonUnderTest::descriptors();
  }();
  kfast::fuzz::Input input(data, size);
  bool handed_back = false;
  {
    kfast::fuzz::FuzzClient client(g_daemon->session_socket(), g_daemon->bell_socket());
    client.run(input);
    handed_back = client.handed_back();
  }
  if (handed_back) {
    kfast::fuzz::FuzzClient::expect_every_session(g_daemon->session_socket(),
                                                  kfast::fuzz::DaemonUnderTest::kSessions);
  }
  // The sessions of the input may hold every lease there is until the daemon has seen their end.
  g_daemon->expect_nothing_held(before);
  kfast::fuzz::FuzzClient::expect_welcome(g_daemon->session_socket());
  return 0;
}
