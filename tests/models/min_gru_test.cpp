#include "models/min_gru.hpp"

#include "autograd/gradcheck.hpp"
#include "autograd/members.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "models/neural.hpp"
#include "models/train.hpp"
#include "tests/models/language_model_battery.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/threads.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;

namespace {

struct Sample {
  std::int64_t vocab;
  std::vector<std::int32_t> train, test;
};
Sample sample_text() {
  const std::string text = synthetic_corpus(3, 3000).text;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  std::vector<std::int32_t> ids = encode(vocabulary, text);
  const auto cut = ids.begin() + std::ssize(ids) * 9 / 10;
  return {vocabulary.size(), {ids.begin(), cut}, {cut, ids.end()}};
}

NeuralModel<MinGruNetwork> trained(const Sample& sample, NetworkOptions options, int epochs = 2) {
  options.vocab = sample.vocab;
  Rng rng(5);
  NeuralModel<MinGruNetwork> model{MinGruNetwork(rng, options)};
  train(model.network, sample.train, {.batch = 4, .steps = 20, .epochs = epochs, .lr = 5e-3});
  return model;
}

}  // namespace

TEST_CASE("a network of minGRUs passes the battery of all language models", "[models]") {
  const Sample s = sample_text();
  for (const bool tied : {false, true}) {
    test::language_model_battery(
        "min-gru", trained(s, {.width = 16, .layers = 2, .dropout = 0.1, .tied = tied}), s.test, 1e-5);
  }
}

TEST_CASE("the loss of a network of minGRUs has derivatives equal to central differences",
          "[models][gradient]") {
  for (const bool tied : {false, true}) {
    Rng rng(2);
    const MinGruNetwork network(rng, {.vocab = 5, .width = 3, .layers = 2, .inner = 4, .tied = tied});
    std::vector<Tensor> values;
    for_each_parameter(network, [&](const std::string&, const Parameter& p) {
      values.push_back(rng.uniform(p.shape(), -0.8, 0.8, Dtype::f64));
    });
    const Indices x({0, 3, 1, 2, 4, 0, 3, 3}, {4, 2}), y({1, 2, 4, 0, 3, 3, 0, 1}, {4, 2});
    const GradcheckResult result = gradcheck(
        [&](std::span<const Variable> inputs) {
          MinGruNetwork copy = network;
          std::size_t next = 0;
          for_each_parameter(
              copy, [&](const std::string&, Parameter& p) { static_cast<Variable&>(p) = inputs[next++]; });
          const auto first = copy.loss(x, y, copy.start(2));
          // The state is carried, with its gradient.
          return first.first + cross_entropy(copy(y, first.second).first, x);
        },
        values);
    INFO(result.message);
    CHECK(result.passed);
    CHECK(result.checked > 100);
  }
}

TEST_CASE("a trained network of minGRUs has the same bits for any number of threads", "[models][threads]") {
  const Sample s = sample_text();
  test::check_same_bits([&] {
    const auto model = trained(s, {.width = 96, .layers = 2, .dropout = 0.2}, 1);
    std::vector<Tensor> out;
    for_each_parameter(model.network,
                       [&](const std::string&, const Parameter& p) { out.push_back(p.value()); });
    return out;
  });
}

TEST_CASE("a network of minGRUs computes in f64 as in f32, learns, and refuses sizes that are none",
          "[models]") {
  const Sample s = sample_text();
  const NeuralModel<MinGruNetwork> narrow = trained(s, {.width = 24, .layers = 2}, 3);
  NeuralModel<MinGruNetwork> wide = narrow;
  convert(wide.network, Dtype::f64);
  const std::vector<double> a = score(narrow, s.test), b = score(wide, s.test);
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i] == Approx(b[i]).epsilon(1e-4));
    total -= b[i];
  }
  // Not so sure as one that knows nothing of the words before.
  CHECK(total / static_cast<double>(a.size()) < 0.75 * std::log(static_cast<double>(s.vocab)));
  Rng rng(1);
  CHECK_THROWS_WITH(MinGruNetwork(rng, {.vocab = 1}), Contains("a vocabulary of 1"));
  CHECK_THROWS_WITH(MinGruNetwork(rng, {.vocab = 5, .layers = 0}), Contains("0 layers"));
  for (const bool tied : {false, true}) {
    const NetworkOptions options{.vocab = 9, .width = 8, .layers = 3, .tied = tied};
    CHECK(MinGruNetwork::fewest_parameters(options) <=
          static_cast<double>(count_parameters(MinGruNetwork(rng, options))));
  }
}
