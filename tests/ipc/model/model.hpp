// The model checker's side of the atomics policy, and how a scenario is run.
//
// Relacy turns `new`, `delete` and the names of memory orders into macros, so every other header
// comes before it, and a model's source file includes this header only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string_view>
#include <type_traits>

#include "kfast/ipc/doorbell.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/layout.hpp"
#include "kfast/ipc/ring.hpp"

#include <relacy/relacy.hpp>

namespace kfast::ipc::model {

/// What a broken build of the protocol would leave out. The honest one leaves out nothing.
struct Honest {
  static constexpr bool kRelease = true;
  static constexpr bool kAcquire = true;
  static constexpr bool kFence = true;
};
struct NoRelease : Honest {
  static constexpr bool kRelease = false;
};
struct NoAcquire : Honest {
  static constexpr bool kAcquire = false;
};
struct NoFence : Honest {
  static constexpr bool kFence = false;
};

/// The policy for RingWriter, RingReader, Ringer, Parking and ShardRest under the model checker.
template <class Mutation = Honest>
struct ModelAtomics {
  using U32 = rl::atomic<std::uint32_t>;
  using U64 = rl::atomic<std::uint64_t>;

  template <class T>
  static T load_relaxed(const rl::atomic<T>& word) {
    return word.load(rl::mo_relaxed, RL_INFO);
  }
  template <class T>
  static T load_acquire(const rl::atomic<T>& word) {
    return word.load(Mutation::kAcquire ? rl::mo_acquire : rl::mo_relaxed, RL_INFO);
  }
  template <class T>
  static void store_relaxed(rl::atomic<T>& word, std::type_identity_t<T> value) {
    word.store(value, rl::mo_relaxed, RL_INFO);
  }
  template <class T>
  static void store_release(rl::atomic<T>& word, std::type_identity_t<T> value) {
    word.store(value, Mutation::kRelease ? rl::mo_release : rl::mo_relaxed, RL_INFO);
  }
  static void fence_seq_cst() {
    if constexpr (Mutation::kFence) {
      rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO);
    }
  }
};

/// How many interleavings are tried, and how.
struct Search {
  rl::scheduler_type_e type = rl::random_scheduler_type;
  rl::iteration_t iterations = 100'000;  // of the random scheduler
  unsigned context_bound = 2;            // of the bounded one
};

inline rl::test_params params_of(const Search& search) {
  rl::test_params params;
  params.search_type = search.type;
  params.iteration_count = search.iterations;
  params.context_bound = search.context_bound;
  params.execution_depth_limit = 20'000;
  return params;
}

/// True when no interleaving of `Suite` fails.
template <class Suite>
bool holds(const Search& search) {
  static std::ostream nowhere(nullptr);
  rl::test_params params = params_of(search);
  params.progress_stream = &nowhere;
  rl::simulate<Suite>(params);
  std::cout << rl::test_result_str(params.test_result) << " after " << params.stop_iteration
            << " executions\n";
  return params.test_result == rl::test_result_success;
}

/// True when the checker finds the mistake that `Suite` contains, and finds it to be `expected`.
template <class Suite>
bool is_caught(const Search& search, rl::test_result_e expected) {
  static std::ostream nowhere(nullptr);
  rl::test_params params = params_of(search);
  params.output_stream = &nowhere;
  params.progress_stream = &nowhere;
  rl::simulate<Suite>(params);
  std::cout << rl::test_result_str(params.test_result) << " in execution " << params.stop_iteration
            << ", expected " << rl::test_result_str(expected) << '\n';
  return params.test_result == expected;
}

/// One thing that a model's program can be asked to check.
struct Check {
  std::string_view name;
  bool (*passes)();
};

/// Runs the check whose name is the only argument. Returns the exit status.
template <std::size_t N>
int run_named(const Check (&checks)[N], int argc, char** argv) {
  for (const Check& check : checks) {
    if (argc == 2 && check.name == argv[1]) {
      return check.passes() ? 0 : 1;
    }
  }
  std::cerr << "give the name of one check:\n";
  for (const Check& check : checks) {
    std::cerr << "  " << check.name << '\n';
  }
  return 2;
}

}  // namespace kfast::ipc::model
