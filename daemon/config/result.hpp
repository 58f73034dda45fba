// A value or the reason there is none; errors inside the daemon are values.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace kfast::daemon {

/// Marks a value as the error side of a Result.
template <class E>
struct Failure {
  E error;
};
template <class E>
Failure(E) -> Failure<E>;

/// Either a T or an E. Asking for the side that is not there aborts.
template <class T, class E = std::string>
class [[nodiscard]] Result {
 public:
  // Implicit, so that `return value;` and `return Failure{...};` both read plainly.
  Result(T value) : side_(std::in_place_index<0>, std::move(value)) {}
  template <class F>
  Result(Failure<F> failure) : side_(std::in_place_index<1>, std::move(failure.error)) {}

  [[nodiscard]] bool ok() const noexcept { return side_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() { return need<0>(side_); }
  [[nodiscard]] const T& value() const { return need<0>(side_); }
  /// Moves the value out.
  [[nodiscard]] T take() { return std::move(need<0>(side_)); }
  [[nodiscard]] const E& error() const { return need<1>(side_); }

  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }

 private:
  template <std::size_t Side, class Variant>
  static auto& need(Variant& side) {
    auto* found = std::get_if<Side>(&side);
    if (found == nullptr) {
      std::abort();
    }
    return *found;
  }

  std::variant<T, E> side_;
};

}  // namespace kfast::daemon
