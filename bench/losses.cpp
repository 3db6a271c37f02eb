// Losses, forward and backward with the gradients of all that they read but targets: of a language model's
// 700 tokens among 10,000 words, of 256 images of 28 by 28, of 1,024 pairs of vectors of width 256, of 65,536
// pairs of scores, of 16 sequences of 200 steps that spell 40 of 31 labels, and the adaptive softmax of 700
// tokens among 50,000 words. Usage: bench_losses [--threads N] [--benchmark_...].

#include <cmath>
#include <vector>

#include "bench/gradient.hpp"
#include "nn/adaptive_softmax.hpp"
#include "nn/ctc.hpp"
#include "nn/losses.hpp"
#include "tensor/ops.hpp"

using namespace gradus;

namespace {

constexpr std::int64_t tokens = 700, words = 10'000;

Indices ids(Rng& rng, const Shape& shape, std::int64_t below, std::int32_t from = 0) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < shape.size(); ++i)
    out.push_back(from + static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(below))));
  return Indices(std::move(out), shape);
}

/// 1 or -1 each.
Tensor labels(Rng& rng, std::int64_t count) {
  return rng.bernoulli({count}, 0.5, 2) - 1;
}

bench::Made of_words(Rng& rng, double smoothing) {
  return [x = Parameter(rng.normal({tokens, words})), y = ids(rng, {tokens}, words), smoothing] {
    return nn::cross_entropy(x, y, CrossEntropyOptions{.label_smoothing = smoothing});
  };
}
bench::Made soft(Rng& rng) {
  return [x = Parameter(rng.normal({tokens, words})), y = softmax(rng.normal({tokens, words}))] {
    return nn::cross_entropy(x, y);
  };
}
bench::Made nll(Rng& rng) {
  return [x = Parameter(log_softmax(rng.normal({tokens, words}))), y = ids(rng, {tokens}, words)] {
    return nn::nll(x, y);
  };
}
bench::Made kl_div(Rng& rng) {
  return [x = Parameter(log_softmax(rng.normal({tokens, words}))), y = softmax(rng.normal({tokens, words}))] {
    return nn::kl_div(x, y);
  };
}

/// A loss of images and what they should be, from 0 to 1.
template <class Loss>
bench::Made of_images(Rng& rng, const Loss& loss) {
  const Shape shape{256, 784};
  return [x = Parameter(rng.normal(shape)), y = rng.uniform(shape, 0, 1), loss] { return loss(x, y); };
}
bench::Made gaussian_nll(Rng& rng) {
  return of_images(
      rng, [variance = Parameter(rng.uniform({256, 784}, 0.5, 2))](const Variable& x, const Tensor& y) {
        return nn::gaussian_nll(x, y, Variable(variance));
      });
}

bench::Made cosine(Rng& rng) {
  const Shape shape{1024, 256};
  return [x = Parameter(rng.normal(shape)), y = Parameter(rng.normal(shape)), label = labels(rng, 1024)] {
    return nn::cosine(x, Variable(y), label);
  };
}
bench::Made triplet(Rng& rng) {
  const Shape shape{1024, 256};
  return [a = Parameter(rng.normal(shape)), b = Parameter(rng.normal(shape)),
          c = Parameter(rng.normal(shape))] { return nn::triplet(a, Variable(b), Variable(c)); };
}
bench::Made margin(Rng& rng) {
  const Shape shape{65'536};
  return [x = Parameter(rng.normal(shape)), y = Parameter(rng.normal(shape)), label = labels(rng, 65'536)] {
    return nn::margin_ranking(x, Variable(y), label, {.margin = 0.1});
  };
}

bench::Made ctc(Rng& rng) {
  const std::int64_t steps = 200, batch = 16;
  return [x = Parameter(log_softmax(rng.normal({steps, batch, 32}))), y = ids(rng, {batch, 40}, 31, 1),
          of_x = Indices(std::vector<std::int32_t>(batch, 200)),
          of_y = Indices(std::vector<std::int32_t>(batch, 40))] { return nn::ctc(x, y, of_x, of_y); };
}

/// Word r is about as frequent as 1 / r.
bench::Made adaptive_softmax(Rng& rng) {
  const std::int64_t all = 50'000;
  std::vector<std::int32_t> y;
  for (std::int64_t i = 0; i < tokens; ++i)
    y.push_back(static_cast<std::int32_t>(std::pow(static_cast<double>(all), rng.uniform())) - 1);
  return
      [layer = nn::AdaptiveSoftmax(rng, 650, all, {2000, 10'000}), x = Parameter(rng.normal({tokens, 650})),
       targets = Indices(std::move(y))] { return layer(x, targets).loss; };
}

constexpr bench::GradientRow rows[] = {
    {"cross_entropy", [](Rng& rng) { return of_words(rng, 0); }},
    {"cross_entropy_smoothed", [](Rng& rng) { return of_words(rng, 0.1); }},
    {"cross_entropy_soft", soft},
    {"nll", nll},
    {"kl_div", kl_div},
    {"adaptive_softmax", adaptive_softmax},
    {"mse",
     [](Rng& rng) { return of_images(rng, [](const auto& x, const auto& y) { return nn::mse(x, y); }); }},
    {"l1",
     [](Rng& rng) { return of_images(rng, [](const auto& x, const auto& y) { return nn::l1(x, y); }); }},
    {"huber",
     [](Rng& rng) { return of_images(rng, [](const auto& x, const auto& y) { return nn::huber(x, y); }); }},
    {"bce_with_logits",
     [](Rng& rng) {
       return of_images(rng, [](const auto& x, const auto& y) { return nn::bce_with_logits(x, y); });
     }},
    {"gaussian_nll", gaussian_nll},
    {"cosine", cosine},
    {"triplet", triplet},
    {"margin", margin},
    {"ctc", ctc},
};

}  // namespace

int main(int argc, char** argv) {
  return bench::time_gradients(argc, argv, rows);
}
