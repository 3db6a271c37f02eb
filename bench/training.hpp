#pragma once

// The training steps that are measured. A test checks that their bits do not depend on the number of threads.

#include <cstdint>
#include <utility>
#include <vector>

#include "autograd/tape.hpp"
#include "models/networks.hpp"
#include "optim/rules.hpp"
#include "tensor/random.hpp"

namespace bench {

struct Size {
  const char* name;
  std::int64_t vocab, width, hidden;
  int layers;
  std::int64_t batch, steps;
};
inline constexpr Size sizes[] = {{"char", 96, 128, 256, 1, 32, 64},
                                 {"small", 10'000, 200, 200, 2, 20, 20},
                                 {"medium", 10'000, 650, 650, 2, 20, 35},
                                 {"large", 10'000, 1500, 1500, 2, 20, 35},
                                 // For the cost of a token over the hidden width and over the number of
                                 // steps.
                                 {"h16", 1000, 16, 16, 1, 20, 35},
                                 {"h32", 1000, 32, 32, 1, 20, 35},
                                 {"h64", 1000, 64, 64, 1, 20, 35},
                                 {"h128", 1000, 128, 128, 1, 20, 35},
                                 {"h256", 1000, 256, 256, 1, 20, 35},
                                 {"h512", 1000, 512, 512, 1, 20, 35},
                                 {"h1024", 1000, 1024, 1024, 1, 20, 35},
                                 {"h2048", 1000, 2048, 2048, 1, 20, 35},
                                 {"t10", 1000, 64, 64, 1, 1, 10},
                                 {"t30", 1000, 64, 64, 1, 1, 30},
                                 {"t100", 1000, 64, 64, 1, 1, 100},
                                 {"t300", 1000, 64, 64, 1, 1, 300},
                                 {"t1000", 1000, 64, 64, 1, 1, 1000},
                                 {"t3000", 1000, 64, 64, 1, 1, 3000},
                                 {"t10000", 1000, 64, 64, 1, 1, 10'000}};

/// Ids of a shape, of a vocabulary of that size.
inline gradus::Indices random_ids(gradus::Rng& rng, std::int64_t vocab, const gradus::Shape& shape) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < shape.size(); ++i)
    ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(vocab))));
  return gradus::Indices(std::move(ids), shape);
}

/// A network and the data that it is trained on.
template <class Network>
struct Training {
  Size size;
  gradus::Rng rng{1};
  Network network;
  gradus::Indices x, y;
  gradus::optim::Sgd optimizer{{.lr = 0.1}};

  explicit Training(const Size& chosen)
      : size(chosen),
        network(rng,
                {.vocab = size.vocab, .embedding = size.width, .width = size.hidden, .layers = size.layers}),
        x(random_ids(rng, size.vocab, {size.steps, size.batch})),
        y(random_ids(rng, size.vocab, {size.steps, size.batch})) {}
  void step() {
    gradus::Tape tape;
    auto [loss, next] = network.loss(x, y, network.start(size.batch));
    optimizer.step(network, tape.backward(loss), {.clip_norm = 0.25});
  }
};

}  // namespace bench
