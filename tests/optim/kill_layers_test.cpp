#include <regex>

#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/activations.hpp"
#include "nn/attention.hpp"
#include "nn/conv.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/lora.hpp"
#include "nn/lora_adapter.hpp"
#include "nn/min_rnn.hpp"
#include "nn/mlp.hpp"
#include "nn/norm.hpp"
#include "nn/recurrent.hpp"
#include "nn/sampled_softmax.hpp"
#include "nn/sequential.hpp"
#include "nn/transformer.hpp"
#include "optim/average.hpp"
#include "optim/rules.hpp"
#include "tests/optim/killed_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/recurrent.hpp"
#include "text/batches.hpp"
#include "text/loader.hpp"

// Killed and gone on with to the bit: layers that draw random numbers, that keep statistics of their batches
// or hand a state from one batch to the next, and the loader of the batches.

using namespace gradus;
using namespace gradus::optim;
using test::KilledCase;

namespace {

void parts_of_training(auto& self, auto&& visit) {
  visit("model", self.model);
  visit("optimizer", self.optimizer);
  visit("rng", self.rng);
}

/// Both kinds of running statistics, on shuffled batches that are made ahead, with random changes of their
/// records.
struct NormRun {
  Rng rng{1};
  nn::Sequential<nn::Conv1d, nn::BatchNorm, nn::Relu, nn::Dropout, nn::Conv1d, nn::BatchNorm> model{
      nn::Conv1d(rng, 2, 3, 3), nn::BatchNorm(3),         nn::Relu{},
      nn::Dropout{0.2},         nn::Conv1d(rng, 3, 2, 3), nn::BatchNorm(2, {.momentum = {}})};
  AdamW optimizer{{.lr = 0.05}};
  Loader<Tensor> batches;
  std::optional<Loader<Tensor>::Iterator> at{};

  explicit NormRun(std::int64_t ahead)
      : batches(23,
                [](std::int64_t i, Rng& of_record) {
                  return of_record.normal({2, 8}, 0.1 * static_cast<double>(i));
                },
                {.batch = 4, .shuffle = true, .seed = 3, .ahead = ahead}) {}

  const Tensor& next() {
    if (at) ++*at;
    while (!at || *at == batches.end()) {
      at.reset();
      at.emplace(batches.begin());
    }
    return **at;
  }
  void step() {
    const Tensor& x = next();  // (batch, channels, length)
    Tape tape;
    const Variable y = model(Variable(x), &rng);
    optimizer.step(model, tape.backward(mean(square(y - slice(Variable(x), 2, 2, 6)))));
  }
  static void parts(auto& self, auto&& visit) {
    parts_of_training(self, visit);
    visit("batches", self.batches);
  }
};

/// Each step with a generator of its own, made of the step's number, beside one that is kept.
struct DropoutRun {
  Rng rng{2};
  nn::Mlp<nn::Tanh> model{rng, {3, 8, 3}, nn::Tanh{}, {.dropout = 0.3}};
  Adam optimizer{{.lr = 0.05}};
  nn::LockedDropout locked{0.3};
  std::int64_t steps = 0;

  void step() {
    Rng of_step = Rng(17).fork(static_cast<std::uint64_t>(steps++));
    const Tensor x = of_step.normal({5, 2, 3});  // (time, batch, width)
    Tape tape;
    const Variable y = model(locked(Variable(x), &rng), &of_step);
    optimizer.step(model, tape.backward(mean(square(y - Variable(x)))));
  }
  static void parts(auto& self, auto&& visit) {
    parts_of_training(self, visit);
    visit("steps", self.steps);
  }
};

/// Dropped weights of attention.
struct AttentionRun {
  Rng rng{6};
  nn::MultiHeadAttention model{rng, 4, 2, {.dropout = 0.3}};
  Adam optimizer{{.lr = 0.05}};

  void step() {
    const Tensor x = rng.normal({3, 5, 4});  // (batch, time, width)
    Tape tape;
    optimizer.step(model, tape.backward(mean(square(model(Variable(x), {.causal = true}, &rng) - x))));
  }
  static void parts(auto& self, auto&& visit) { parts_of_training(self, visit); }
};

/// What an encoder and a decoder drop.
struct TransformerRun {
  Rng rng{8};
  nn::Transformer model{rng, 4, 2, 1, 1, {.inner = 6, .dropout = 0.3}};
  Adam optimizer{{.lr = 0.05}};

  void step() {
    const Variable x(rng.normal({3, 5, 4}));  // (batch, time, width)
    Tape tape;
    optimizer.step(model, tape.backward(mean(square(model(x, x, {.source = {5, 2, 4}}, &rng) - x.value()))));
  }
  static void parts(auto& self, auto&& visit) { parts_of_training(self, visit); }
};

/// What adapters drop, of a model whose other weights are frozen.
struct LoraRun {
  Rng rng{9};
  nn::Mlp<nn::Tanh> model{rng, {3, 8, 3}, nn::Tanh{}};
  Adam optimizer{{.lr = 0.05}};

  LoraRun() { nn::add_lora(rng, model, {"*"}, {.rank = 2, .dropout = 0.3}); }
  void step() {
    const Variable x(rng.normal({5, 3}));
    Tape tape;
    const nn::LoraDropout of_adapters(&rng);
    optimizer.step(model, tape.backward(mean(square(model(x, nullptr) - x.value()))));
  }
  static void parts(auto& self, auto&& visit) { parts_of_training(self, visit); }
};

/// What a layer goes on with, apart from the tape that made it, or its start.
template <class Layer>
typename Layer::State carried_or_start(const Layer& layer,
                                       const test::Carried<typename Layer::State>& carried,
                                       std::int64_t batch) {
  if (!Layer::State::parts(carried.state)[0]->value().defined()) return layer.start(batch);
  return nn::detach(carried.state);
}

template <class Layer>
struct RecurrentRun {
  nn::RecurrentOptions options;
  Rng rng{3};
  Layer model{rng, 3, 4, options};
  Adam optimizer{{.lr = 0.05}};
  test::Carried<typename Layer::State> carried{};

  void step() {
    const Tensor x = rng.normal({3, 4, 3});  // (time, batch, in)
    if (rng.below(6) == 0) carried = {};
    const Indices lengths = rng.below(2) == 0 ? Indices({3, 1, 0, 2}) : Indices();
    Tape tape;
    const auto [h, last] = model(Variable(x), carried_or_start(model, carried, 4), &rng, lengths);
    optimizer.step(model, tape.backward(mean(square(h - 0.3))));
    carried = {nn::detach(last)};
  }
  static void parts(auto& self, auto&& visit) {
    parts_of_training(self, visit);
    visit("carried", self.carried);
  }
};

/// Dropout between minimal layers, whose state is carried on.
struct MinRnnRun {
  Rng rng{7};
  nn::MinGru model{rng, 3, 4, {.layers = 2, .dropout = 0.3}};
  Adam optimizer{{.lr = 0.05}};
  test::Carried<nn::HiddenState> carried{};

  void step() {
    const Tensor x = rng.normal({3, 4, 3});  // (time, batch, in)
    Tape tape;
    const auto [h, last] = model(Variable(x), carried_or_start(model, carried, 4), &rng);
    optimizer.step(model, tape.backward(mean(square(h - 0.3))));
    carried = {nn::detach(last)};
  }
  static void parts(auto& self, auto&& visit) {
    parts_of_training(self, visit);
    visit("carried", self.carried);
  }
};

struct LanguageModel {
  nn::Embedding embed;
  nn::Lstm lstm;
  nn::TiedLinear head;
  explicit LanguageModel(Rng& rng)
      : embed(rng, 11, 4, {.padding = 0}), lstm(rng, 4, 4, {.weight_dropout = 0.2}), head(rng, embed) {}
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("lstm", self.lstm);
    visit("head", self.head);
  }
};
/// As AWD-LSTM is trained, with losses of drawn classes, whose gradients are row-sparse.
struct LanguageRun {
  Rng rng{4};
  LanguageModel model{rng};
  Asgd optimizer{{.lr = 0.1}};
  WeightAverage average{};
  test::Carried<nn::LstmState> carried{};
  std::int64_t at = 0;
  std::vector<std::int32_t> tokens{};
  nn::Noise noise = nn::Noise::log_uniform(11);

  LanguageRun() {
    Rng of_text(5);
    for (int i = 0; i < 100; ++i) tokens.push_back(static_cast<std::int32_t>(of_text.below(11)));
  }
  void step() {
    const Batches all = batches(tokens, {.batch = 3, .steps = 5});
    if (at % all.size() == 0) carried = {};
    const auto [x, y] = all[at++ % all.size()];
    Tape tape;
    const Variable embedded = nn::embedding_dropout(model.embed, x, 0.1, &rng);
    const auto [h, last] =
        model.lstm(nn::locked_dropout(embedded, 0.2, &rng), carried_or_start(model.lstm, carried, 3), &rng);
    const nn::Candidates drawn = noise.draw(rng, 4, {.distinct = at % 2 == 0});
    const auto& loss = at % 2 == 0 ? nn::sampled_softmax : nn::nce;
    const Variable of_batch =
        loss(h, model.embed.weight, model.head.bias, y, drawn, {}, gradus::Where::here());
    optimizer.step(model, tape.backward(of_batch), {.clip_norm = 1});
    average.update(model);
    carried = {nn::detach(last)};
  }
  static void parts(auto& self, auto&& visit) {
    parts_of_training(self, visit);
    visit("average", self.average);
    visit("carried", self.carried);
    visit("at", self.at);
  }
};

}  // namespace

std::vector<KilledCase> test::killed_layers() {
  std::vector<KilledCase> out;
  out.push_back(killed_case<NormRun>("BatchNorm on batches made ahead", std::int64_t{2}));
  out.push_back(killed_case<NormRun>("BatchNorm on batches made when needed", std::int64_t{0}));
  out.push_back(killed_case<DropoutRun>("dropout"));
  out.push_back(killed_case<AttentionRun>("attention"));
  out.push_back(killed_case<TransformerRun>("Transformer"));
  out.push_back(killed_case<LoraRun>("adapters"));
  for_each_recurrent_layer([&]<class Layer, class Cell>(const RecurrentCase<Layer, Cell>& one) {
    nn::RecurrentOptions options{
        .layers = 2, .dropout = 0.2, .weight_dropout = 0.3, .zoneout = {.h = 0.1}, .learned_start = true};
    if (nn::part_count < typename Cell::State >> 1) options.zoneout.c = 0.2;
    out.push_back(killed_case<RecurrentRun<Layer>>(one.name, options));
  });
  const nn::RecurrentOptions both{.dropout = 0.2, .bidirectional = true, .projection = 3};
  out.push_back(killed_case<RecurrentRun<nn::Lstm>>("projected Lstm of both directions", both));
  out.push_back(killed_case<MinRnnRun>("MinGru"));
  out.push_back(killed_case<LanguageRun>("AWD-LSTM"));
  return out;
}

TEST_CASE("layers with state and loaders that are killed go on to the bit", "[nn][killed][threads]") {
  for (const KilledCase& one : test::killed_layers()) test::check_killed(one);
}

TEST_CASE("what draws random numbers in training or has buffers is among what the tests kill", "[nn]") {
  namespace fs = std::filesystem;
  const fs::path root(test::source_dir());
  const std::string tests = test::read_bytes(root / "tests/optim/kill_layers_test.cpp");
  const std::regex state(R"(Rng\* |Rng& rng, std::int64_t count\b.*Options|\n *Buffer )");
  int found = 0;
  for (const auto& entry : fs::directory_iterator(root / "nn")) {
    if (entry.path().extension() != ".hpp") continue;
    if (!std::regex_search(test::read_bytes(entry.path()), state)) continue;
    INFO(entry.path());
    CHECK(tests.find("\"nn/" + entry.path().filename().string() + "\"") != tests.npos);
    ++found;
  }
  CHECK(found >= 8);
}
