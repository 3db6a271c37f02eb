// Single layers, forward and backward with the gradients of input and weights: recurrent ones of 650 to 650
// over 35 steps at batch 20 (the minimal one also over 1,000 at batch 1), the output layer of a language
// model of that width and 10,000 words, its embedding, normalisations and dropout of as many vectors; and of
// a convolutional network, over 32 images of 64 channels. Usage: bench_layers [--threads N]
// [--benchmark_...].

#include <memory>
#include <vector>

#include "bench/gradient.hpp"
#include "nn/conv.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/gru.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "nn/min_rnn.hpp"
#include "nn/norm.hpp"
#include "nn/pool.hpp"
#include "nn/rnn.hpp"

using namespace gradus;

namespace {

constexpr std::int64_t steps = 35, batch = 20, width = 650, vocab = 10'000;

template <class Layer>
bench::Made of(const Layer& layer, const Tensor& x) {
  return [layer, input = Parameter(x)] { return layer(input); };
}

/// Of sequences, and of images of 28 by 28 or another side.
template <class Layer>
bench::Made vectors(Rng& rng, const Layer& layer) {
  return of(layer, rng.normal({steps, batch, width}));
}
template <class Layer>
bench::Made images(Rng& rng, const Layer& layer, std::int64_t side = 28) {
  return of(layer, rng.normal({32, 64, side, side}));
}

template <class Layer>
bench::Made recurrent(Rng& rng, std::int64_t hidden = width, const nn::RecurrentOptions& options = {}) {
  const Layer layer(rng, width, hidden, options);
  return vectors(rng, [layer](const Variable& x) { return layer(x, layer.start(batch)).first; });
}

bench::Made minimal(Rng& rng, std::int64_t time, std::int64_t of_batch) {
  const nn::MinGru layer(rng, width, width, {.candidate = nn::MinCandidate::positive});
  const auto call = [layer, of_batch](const Variable& x) { return layer(x, layer.start(of_batch)).first; };
  return of(call, rng.normal({time, of_batch, width}));
}

bench::Made embedding(Rng& rng) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < steps * batch; ++i) ids.push_back(static_cast<std::int32_t>(rng.below(vocab)));
  return [layer = nn::Embedding(rng, vocab, width), x = Indices(std::move(ids), {steps, batch})] {
    return layer(x);
  };
}

/// A layer in training.
template <class Layer>
auto training(const Layer& layer) {
  return [layer, rng = std::make_shared<Rng>(2)](const Variable& x) { return layer(x, rng.get()); };
}

constexpr bench::GradientRow rows[] = {
    {"lstm", [](Rng& rng) { return recurrent<nn::Lstm>(rng); }},
    {"lstm_projected", [](Rng& rng) { return recurrent<nn::Lstm>(rng, width, {.projection = 320}); }},
    {"lstm_bidirectional",
     [](Rng& rng) { return recurrent<nn::Lstm>(rng, width / 2, {.bidirectional = true}); }},
    {"gru", [](Rng& rng) { return recurrent<nn::Gru>(rng); }},
    {"rnn", [](Rng& rng) { return recurrent<nn::Rnn>(rng); }},
    {"min_gru", [](Rng& rng) { return minimal(rng, steps, batch); }},
    {"min_gru_long", [](Rng& rng) { return minimal(rng, 1000, 1); }},
    {"linear", [](Rng& rng) { return vectors(rng, nn::Linear(rng, width, vocab)); }},
    {"embedding", embedding},
    {"dropout", [](Rng& rng) { return vectors(rng, training(nn::Dropout())); }},
    {"layer_norm", [](Rng& rng) { return vectors(rng, nn::LayerNorm(width)); }},
    {"rms_norm", [](Rng& rng) { return vectors(rng, nn::RmsNorm(width)); }},
    {"group_norm", [](Rng& rng) { return images(rng, nn::GroupNorm(8, 64)); }},
    {"batch_norm", [](Rng& rng) { return images(rng, training(nn::BatchNorm2d(64))); }},
    {"conv1d",
     [](Rng& rng) {
       return of(nn::Conv1d(rng, 64, 64, 3, {.padding = 1}), rng.normal({32, 64, 784}));
     }},
    {"conv2d", [](Rng& rng) { return images(rng, nn::Conv2d(rng, 64, 64, 3, {.padding = 1})); }},
    {"conv_transpose2d",
     [](Rng& rng) {
       return images(rng, nn::ConvTranspose2d(rng, 64, 64, 4, {.stride = 2, .padding = 1}), 14);
     }},
    {"max_pool2d", [](Rng& rng) { return images(rng, nn::MaxPool2d()); }},
    {"avg_pool2d", [](Rng& rng) { return images(rng, nn::AvgPool2d()); }},
    {"adaptive_max_pool2d", [](Rng& rng) { return images(rng, nn::AdaptiveMaxPool2d(7)); }},
    {"adaptive_avg_pool2d", [](Rng& rng) { return images(rng, nn::AdaptiveAvgPool2d(7)); }},
    {"global_avg_pool2d", [](Rng& rng) { return images(rng, nn::AdaptiveAvgPool2d(1)); }},
};

}  // namespace

int main(int argc, char** argv) {
  return bench::time_gradients(argc, argv, rows);
}
