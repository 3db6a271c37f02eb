#pragma once

#include <cstdint>

#include "tensor/tensor.hpp"

namespace gradus {

/// Counter-based random numbers: Philox 4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2,
/// 3", SC 2011, from the Random123 library. A number is a function of the seed, the stream and its position
/// in the stream, so the same seed gives the same numbers for any number of threads, and the whole state is
/// three integers, which can be saved. Copying an Rng copies its state.
class Rng {
 public:
  struct State {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t counter = 0;
    bool operator==(const State&) const = default;

    /// For what writes it down (optim/run_state.hpp).
    static void fields(auto& self, auto&& visit) {
      visit("seed", self.seed);
      visit("stream", self.stream);
      visit("counter", self.counter);
    }
  };

  explicit Rng(std::uint64_t seed = 0, std::uint64_t stream = 0) : state_{seed, stream, 0} {}
  explicit Rng(const State& state) : state_(state) {}
  const State& state() const { return state_; }

  /// A generator for a purpose of its own, independent of this one and of those forked with another `name`.
  /// The state of this one does not change.
  Rng fork(std::uint64_t name) const;

  std::uint64_t next_u64();
  /// Uniform in [0, 1), with 53 random bits.
  double uniform();
  /// Uniform among 0..n-1, without bias. Throws ArgumentError for n = 0.
  std::uint64_t below(std::uint64_t n);

  /// Elements uniform in [low, high), both rounded to the dtype; `low` alone if that is empty. Throws
  /// ArgumentError unless both are finite and low <= high.
  Tensor uniform(const Shape& shape, double low, double high, Dtype dtype = Dtype::f32);
  /// Elements normal with this mean and standard deviation, by the Box-Muller transform, which draws
  /// none further than 8.6 deviations from the mean. Throws ArgumentError unless both are finite, the
  /// deviation is 0 or more, and the dtype reaches that far.
  Tensor normal(const Shape& shape, double mean = 0, double deviation = 1, Dtype dtype = Dtype::f32);
  /// Elements that are `scale` with probability `keep` and else 0: a dropout mask. Throws ArgumentError
  /// unless 0 <= keep <= 1.
  Tensor bernoulli(const Shape& shape, double keep, double scale = 1, Dtype dtype = Dtype::f32);

 private:
  State state_;
};

}  // namespace gradus
