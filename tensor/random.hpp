#pragma once

#include <cstdint>

#include "tensor/tensor.hpp"

namespace gradus {

/// Counter-based random numbers (Philox 4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2,
/// 3", SC 2011, by the Random123 library): a value is a function of the seed, the stream and its place, so
/// the same seed gives the same numbers on any machine and for any number of threads, and the whole state is
/// three integers that can be saved. Copying an Rng copies its state.
class Rng {
 public:
  struct State {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t counter = 0;
    bool operator==(const State&) const = default;
  };

  explicit Rng(std::uint64_t seed = 0, std::uint64_t stream = 0) : state_{seed, stream, 0} {}
  explicit Rng(const State& state) : state_(state) {}
  const State& state() const { return state_; }

  /// Another generator, independent of this one and of those with other names; this one does not move.
  Rng fork(std::uint64_t name) const;

  std::uint64_t next_u64();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in 0..n-1 without bias. Throws ArgumentError for n = 0.
  std::uint64_t below(std::uint64_t n);

  /// Uniform in [low, high), element by element.
  Tensor uniform(const Shape& shape, double low, double high, Dtype dtype = Dtype::f32);
  /// Normal with the mean and standard deviation (Box-Muller).
  Tensor normal(const Shape& shape, double mean = 0, double deviation = 1, Dtype dtype = Dtype::f32);
  /// 1 with probability `keep`, else 0, times `scale`: the mask of dropout.
  Tensor bernoulli(const Shape& shape, double keep, double scale = 1, Dtype dtype = Dtype::f32);

 private:
  State state_;
};

}  // namespace gradus
