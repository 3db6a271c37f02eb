// The libtorch counterpart of bench/tape.cpp: answers each line `NAME SECONDS` on stdin with seconds on
// stdout.

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "tests/support/heap_count.hpp"

namespace {

std::function<void()> scalar_op() {
  auto x = torch::full({}, 0.5, torch::requires_grad());
  return [x]() mutable {
    auto y = x;
    for (int i = 0; i < 1000; ++i) y = torch::tanh(y * x);
    y.backward();
    x.mutable_grad().reset();
  };
}

std::function<void()> tiny_net_step() {
  torch::nn::Sequential net(torch::nn::Linear(2, 16), torch::nn::Tanh(), torch::nn::Linear(16, 16),
                            torch::nn::Tanh(), torch::nn::Linear(16, 1));
  auto optimizer = std::make_shared<torch::optim::SGD>(net->parameters(), 0.1);
  return [net, optimizer, x = torch::randn({32, 2}), target = torch::randn({32, 1})]() mutable {
    optimizer->zero_grad();
    torch::mse_loss(net->forward(x), target).backward();
    optimizer->step();
  };
}

/// The median seconds of one call.
double seconds_of(const std::function<void()>& run, double seconds) {
  std::vector<double> times;
  for (double total = 0; total < seconds; total += times.back()) {
    const auto start = std::chrono::steady_clock::now();
    run();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

double allocations_of(const std::function<void()>& run) {
  constexpr int steps = 100;
  const std::int64_t before = gradus::test::heap_count();
  for (int i = 0; i < steps; ++i) run();
  return static_cast<double>(gradus::test::heap_count() - before) / steps;
}

}  // namespace

int main() {
  at::set_num_threads(1);
  std::cout << "ready " << TORCH_VERSION << std::endl;
  std::string name;
  for (double seconds = 0; std::cin >> name >> seconds;) {
    const auto run = name == "scalar_op" ? scalar_op() : tiny_net_step();
    for (int i = 0; i < 10; ++i) run();
    if (name == "tiny_net_allocations") {
      std::cout << allocations_of(run) << std::endl;
    } else {
      std::cout << seconds_of(run, seconds) / (name == "scalar_op" ? 2000 : 1) << std::endl;
    }
  }
}
