#include "models/quantize.hpp"

#include "autograd/tape.hpp"
#include "models/pretrained.hpp"
#include "models/transformers.hpp"
#include "optim/adam.hpp"
#include "optim/optimizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Matchers::Contains;
using gradus::test::difference;

namespace {

constexpr std::int64_t vocab = 20;

/// A text of a chain: a token depends on the one before it, mostly.
std::vector<std::int32_t> chain(std::int64_t length, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::int32_t> out{0, 1};
  while (std::ssize(out) < length) {
    const std::int32_t likely = (3 * out.back() + 1) % static_cast<std::int32_t>(vocab);
    out.push_back(rng.uniform() < 0.7 ? likely : static_cast<std::int32_t>(rng.uniform() * vocab));
  }
  return out;
}

/// The network after a few steps on such texts: (steps, batch) at a time.
template <class Network>
NeuralModel<Network> trained(Network network, int updates) {
  optim::Adam optimizer({.lr = 5e-3});
  const std::int64_t batch = 16, steps = 16;
  for (int i = 0; i < updates; ++i) {
    std::vector<std::int32_t> x(static_cast<std::size_t>(batch * steps)), y(x.size());
    for (std::int64_t b = 0; b < batch; ++b) {
      const auto text = chain(steps + 1, static_cast<std::uint64_t>(i * batch + b + 1));
      for (std::int64_t t = 0; t < steps; ++t) {
        x[static_cast<std::size_t>(t * batch + b)] = text[static_cast<std::size_t>(t)];
        y[static_cast<std::size_t>(t * batch + b)] = text[static_cast<std::size_t>(t + 1)];
      }
    }
    Tape tape;
    const Variable loss =
        network.loss(Indices(x, {steps, batch}), Indices(y, {steps, batch}), network.start(batch)).first;
    optimizer.step(network, tape.backward(loss));
  }
  return {std::move(network)};
}

GptNetwork small_gpt() {
  Rng rng(1);
  return {rng, {.vocab = vocab, .width = 24, .layers = 2, .heads = 2, .context = 16}};
}
LstmNetwork small_lstm() {
  Rng rng(1);
  return {rng, {.vocab = vocab, .embedding = 24, .width = 24}};
}

}  // namespace

TEST_CASE("a quantized network has the perplexity of the exact one within half a percent", "[quantize]") {
  const std::vector<std::int32_t> text = chain(400, 999);
  const auto check = [&](const auto& model) {
    for (const Dtype dtype : {Dtype::i8, Dtype::bf16}) {
      const QuantizedPerplexity result = quantized_perplexity(model, text, {.dtype = dtype});
      INFO(name_of(dtype) << ": " << result.exact << ", " << result.quantized);
      CHECK(result.exact < 14);  // it has learned something: guessing is 20
      CHECK(std::abs(result.rise()) < 0.005);
      CHECK(result.quantized != result.exact);
    }
  };
  check(trained(small_gpt(), 60));
  check(trained(small_lstm(), 60));
}

TEST_CASE("quantizing takes linear, embedding and recurrent weights, and no others", "[quantize]") {
  GptNetwork gpt = small_gpt();
  const nn::QuantizeReport report = nn::quantize(gpt, {.keep = {"h.1.*", "wpe*"}});
  std::int64_t compact = 0;
  for_each_parameter(gpt, [&](const std::string& path, const Parameter& parameter) {
    const bool wanted = parameter.rank() == 2 && path.rfind("h.1.", 0) != 0 && path != "wpe.weight";
    INFO(path);
    CHECK((parameter.dtype() == Dtype::i8) == wanted);
    if (wanted) compact += parameter.size();
  });
  CHECK(report.parameters == compact);
  CHECK(report.bytes_after < report.bytes_before);
  CHECK(nn::quantize(gpt, {.keep = {"h.1.*", "wpe*"}}).parameters == 0);  // they are already

  LstmNetwork lstm = small_lstm();
  nn::quantize(lstm);
  CHECK(lstm.recurrent.layers[0].weight_hh.dtype() == Dtype::i8);
  CHECK(lstm.recurrent.layers[0].bias_hh.dtype() == Dtype::f32);

  Rng rng(1);
  nn::LayerNorm norm(Shape{4, 6});
  CHECK(nn::quantize(norm).parameters == 0);
  CHECK(norm(Variable(rng.normal({2, 4, 6}, 0, 1))).shape() == Shape{2, 4, 6});
  CHECK_THROWS_WITH(nn::quantize(gpt, {.dtype = Dtype::f64}), Contains("to f64, which is not compact"));
}

TEST_CASE("a quantized network says what its rounded weights say", "[quantize]") {
  const std::vector<std::int32_t> text = chain(40, 5);
  const auto check = [&](auto network) {
    nn::quantize(network);
    auto rounded = network;
    convert(rounded, Dtype::f32);
    const NeuralModel<decltype(network)> a{network}, b{rounded};
    auto left = a.start();
    auto right = b.start();
    for (const std::int32_t token : text) {
      left = a.advance(left, token);
      right = b.advance(right, token);
      CHECK(difference(a.log_probs(left), b.log_probs(right)) < 1e-5);
    }
    const std::vector<double> many = score(a, text), alone = score(b, text);
    for (std::size_t i = 0; i < many.size(); ++i) CHECK(many[i] == Approx(alone[i]).margin(1e-5));
  };
  Rng rng(2);
  check(small_gpt());
  check(LlamaNetwork(rng,
                     {.vocab = vocab, .width = 16, .layers = 2, .heads = 4, .kv_heads = 2, .context = 12}));
  check(small_lstm());
  check(GruNetwork(rng, {.vocab = vocab, .embedding = 10, .width = 12, .layers = 2}));
  check(RnnNetwork(rng, {.vocab = vocab, .embedding = 10, .width = 12}));
  check(FeedForwardNetwork(rng, {.vocab = vocab, .embedding = 10, .width = 12, .order = 3}));
  check(LogBilinearNetwork(rng, {.vocab = vocab, .width = 12, .order = 3}));
}

TEST_CASE("a quantized model is not trained", "[quantize]") {
  const Indices x({0, 1, 2, 3}, {4, 1});
  const auto refuses = [&](auto network) {
    nn::quantize(network);
    CHECK(std::isfinite(network.loss(x, x, network.start(1)).first.item()));
    Tape tape;
    CHECK_THROWS_WITH(network.loss(x, x, network.start(1)), Contains("a quantized model cannot be trained"));
  };
  refuses(small_gpt());
  refuses(small_lstm());
}

TEST_CASE("a quantized network is saved once its weights are f32 again, and not before", "[quantize]") {
  const gradus::test::Folder folder;
  GptNetwork network = small_gpt();
  nn::quantize(network);
  CHECK_THROWS_AS(nn::save_weights(folder.path() / "compact", network), Error);
  CHECK_THROWS_AS(save_pretrained(folder.path() / "folder", network), Error);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "compact"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "folder" / "model.safetensors"));
  GptNetwork wide = network, read = small_gpt();
  convert(wide, Dtype::f32);
  nn::save_weights(folder.path() / "wide", wide);
  nn::load_weights(folder.path() / "wide", read);
  const auto tokens = chain(30, 5);
  const auto exact = score(NeuralModel<GptNetwork>{network}, tokens),
             rounded = score(NeuralModel<GptNetwork>{read}, tokens);
  for (std::size_t i = 0; i < exact.size(); ++i) CHECK(rounded[i] == Approx(exact[i]).epsilon(1e-5));
}

TEST_CASE("a quantized network has the same bits for any number of threads", "[quantize]") {
  Rng rng(3);
  NeuralModel<GptNetwork> model{
      GptNetwork(rng, {.vocab = 3000, .width = 192, .layers = 1, .heads = 4, .context = 32})};
  nn::quantize(model.network);
  test::check_same_bits([&] {
    auto state = model.start();
    for (int i = 0; i < 10; ++i) state = model.advance(state, i * 7);
    return model.log_probs(state);
  });
}
