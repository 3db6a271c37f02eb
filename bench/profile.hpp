#pragma once

#include <chrono>
#include <iostream>
#include <stdexcept>

#include "bench/sampler.hpp"

namespace bench {

/// Prints samples, as Sampler does, of where the steps of a Training of that size spend their time.
template <class Training, class Size>
void profile(const Size& size, double seconds) {
  using Clock = std::chrono::steady_clock;
  Training training(size);
  training.step();
  Sampler sampler(static_cast<std::size_t>(seconds * 1000));
  if (!sampler.works()) throw std::runtime_error("this system has no timer that could sample a thread");
  const auto start = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) training.step();
  sampler.stop();
  sampler.print(std::cout);
}

}  // namespace bench
