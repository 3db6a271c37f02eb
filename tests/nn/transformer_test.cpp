#include "nn/transformer.hpp"

#include <limits>

#include "autograd/describe.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "tensor/ops.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_module.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

using Xs = const std::vector<Variable>&;

template <class M, class Call>
void compare(const std::string& name, const M& made, const std::vector<std::string>& inputs,
             const Call& call) {
  check_torch_module(name, made, inputs, [&](const M& module, Xs x) {
    return NamedResults{{"out", call(module, x)}};
  });
}

}  // namespace

TEST_CASE("encoder and decoder layers, and both together, are PyTorch's with their gradients",
          "[nn][attention]") {
  Rng rng(1);
  for (const bool first : {false, true}) {
    const std::string where = first ? "pre" : "post";
    compare("encoder_layer_" + where,
            nn::TransformerEncoderLayer(rng, 6, 3, {.inner = 10, .norm_first = first}), {"x"},
            [](const auto& f, Xs x) {
              return f(x[0], {.lengths = {5, 3}});
            });
    compare("decoder_layer_" + where,
            nn::TransformerDecoderLayer(rng, 6, 2, {.inner = 7, .norm_first = first}), {"x", "memory"},
            [](const auto& f, Xs x) {
              return f(x[0], x[1], {.causal = true}, {.lengths = {2, 5}});
            });
    compare("encoder_decoder_" + where, nn::Transformer(rng, 8, 2, 2, 1, {.inner = 12, .norm_first = first}),
            {"source", "target"}, [](const auto& f, Xs x) {
              return f(x[0], x[1], {.source = {6, 1, 4}, .target = {2, 3, 1}});
            });
  }
  const auto gelu = nn::TransformerActivation::gelu;
  compare("encoder_layer_gelu",
          nn::TransformerEncoderLayer(rng, 8, 1, {.inner = 5, .activation = gelu, .eps = 1e-3}), {"x"},
          [](const auto& f, Xs x) { return f(x[0]); });
  compare("encoder_layer_without_bias", nn::TransformerEncoderLayer(rng, 4, 2, {.inner = 3, .bias = false}),
          {"x"}, [](const auto& f, Xs x) { return f(x[0], {.causal = true}); });
  compare("decoder_layer_gelu", nn::TransformerDecoderLayer(rng, 4, 4, {.inner = 9, .activation = gelu}),
          {"x", "memory"}, [](const auto& f, Xs x) { return f(x[0], x[1], {}, {}); });
  compare("encoder_stack", nn::TransformerEncoder(rng, 4, 2, 3, {.inner = 6}), {"x"},
          [](const auto& f, Xs x) { return f(x[0]); });
}

TEST_CASE("what stands past the end of a source or a target changes nothing before it", "[nn][attention]") {
  Rng rng(2);
  const nn::Transformer model(rng, 8, 2, 1, 2, {.inner = 16});
  const Tensor source = rng.normal({2, 5, 8}), target = rng.normal({2, 4, 8});
  Tensor spoiled = source;
  const std::int64_t from = (1 * 5 + 3) * 8;  // of the second one, which has three elements
  std::fill_n(spoiled.mutable_data<float>() + from, 16, 1e3F);
  const nn::TransformerLengths lengths{.source = {5, 3}};
  const Tensor expected = model(Variable(source), Variable(target), lengths).value();
  CHECK(identical(model(Variable(spoiled), Variable(target), lengths).value(), expected));
  // By itself.
  const Tensor alone =
      model(Variable(slice(source.rows(1, 2), 1, 0, 3)), Variable(target.rows(1, 2))).value();
  CHECK(difference(alone, expected.rows(1, 2)) < 1e-5);
  // A target is read from its beginning on.
  const Tensor front = model(Variable(source), Variable(slice(target, 1, 0, 2)), lengths).value();
  CHECK(difference(front, slice(expected, 1, 0, 2)) < 1e-5);
}

TEST_CASE("a decoder that reads element by element is the one that reads all", "[nn][attention]") {
  Rng rng(5);
  const std::int64_t time = 75;  // more than a block of keys and values
  for (const bool norm_first : {false, true}) {
    nn::TransformerDecoder decoder(rng, 8, 2, 3, {.inner = 12, .dropout = 0.5, .norm_first = norm_first},
                                   true);
    convert(decoder, Dtype::f64);
    const Variable memory(rng.normal({2, 6, 8}, 0, 1, Dtype::f64)),
        x(rng.normal({2, time, 8}, 0, 1, Dtype::f64));
    const AttentionOptions how_memory{.lengths = {6, 4}};
    const Tensor expected = decoder(x, memory, {.causal = true}, how_memory).value();
    for (const std::int64_t count : {1, 4, 20}) {
      INFO(count << " at a time");
      auto state = decoder.start(memory, how_memory);
      double most = 0;
      for (std::int64_t begin = 0; begin < time; begin += count) {
        const std::int64_t last = std::min(begin + count, time);
        // A state is a value: what is read behind a copy changes nothing.
        decoder.step(slice(x, 1, 0, 2), state);
        auto [y, next] = decoder.step(slice(x, 1, begin, last), state);
        most = std::max(most, difference(y.value(), slice(expected, 1, begin, last)));
        state = std::move(next);
      }
      CHECK(most < 1e-12);
    }
    // Gradients flow through the state, to the memory too.
    const auto gradients = [&](bool by_steps) {
      Tape tape;
      const Variable source = tape.watch(memory.value()), target = tape.watch(x.value().part(0, {2, 5, 8}));
      Variable y;
      if (by_steps) {
        auto [first, state] = decoder.step(slice(target, 1, 0, 2), decoder.start(source, how_memory));
        y = concat({first, decoder.step(slice(target, 1, 2, 5), state).first}, 1);
      } else {
        y = decoder(target, source, {.causal = true}, how_memory);
      }
      const Gradients found = tape.backward(sum(y * y * y));
      return std::array{found[source], found[target], found[decoder.layers[1].multihead_attn.in_proj_weight]};
    };
    const auto stepped = gradients(true), whole = gradients(false);
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(difference(stepped[i], whole[i]) < 1e-11);
    CHECK_THROWS_AS(decoder.step(slice(x, 1, 0, 1), {}), ArgumentError);
    CHECK_THROWS_AS(decoder.step(Variable(zeros({3, 1, 8}, Dtype::f64)), decoder.start(memory)), ShapeError);
  }
}

TEST_CASE("a transformer drops in training alone, and has the same bits for any number of threads",
          "[nn][attention][threads]") {
  Rng rng(3);
  const nn::Transformer model(rng, 64, 4, 2, 2, {.inner = 200, .dropout = 0.3});
  const Variable source(rng.normal({8, 20, 64})), target(rng.normal({8, 15, 64}));
  check_same_bits([&] {
    Rng dropped(4);
    Tape tape;
    const Variable y = model(source, target, {}, &dropped);
    const Gradients g = tape.backward(sum(y * y));
    return std::vector<Tensor>{y.value(), g[model.encoder.layers[0].linear1.weight],
                               g[model.decoder.layers[1].multihead_attn.in_proj_weight]};
  });
  Rng dropped(4);
  const Tensor evaluated = model(source, target).value();
  CHECK(identical(evaluated, model(source, target).value()));
  CHECK(difference(evaluated, model(source, target, {}, &dropped).value()) > 1e-2);
}

TEST_CASE("a transformer has PyTorch's number of parameters, and says what does not fit", "[nn][attention]") {
  Rng rng(5);
  // nn.Transformer(16, 4, 2, 3, 32): counted by PyTorch.
  CHECK(count_parameters(nn::Transformer(rng, 16, 4, 2, 3, {.inner = 32})) == 14'544);
  CHECK_THROWS_WITH(nn::TransformerEncoder(rng, 8, 2, 0), Contains("TransformerEncoder: 0 layers"));
  CHECK_THROWS_WITH(nn::TransformerDecoderLayer(rng, 8, 3), Contains("3 heads of a width of 8"));
  CHECK_THROWS_WITH(nn::TransformerEncoderLayer(rng, 8, 2, {.inner = 0}),
                    Contains("Linear: widths of 8 and 0"));
  CHECK_THROWS_WITH(nn::TransformerEncoderLayer(rng, 8, 2, {.dropout = 1.5}), Contains("a rate of 1.5"));
  const nn::Transformer model(rng, 8, 2, 1, 1, {.inner = 4});
  CHECK_THROWS_WITH(model(Variable(ones({2, 3, 8})), Variable(ones({2, 3, 7}))),
                    Contains("decoder.layers.0") && Contains("(2, 3, 7)"));
}
