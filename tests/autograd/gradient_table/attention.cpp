#include "autograd/ops/attention.hpp"

#include "autograd/ops/rotary.hpp"
#include "nn/attention.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> attention_rows() {
  const auto with = [](const AttentionOptions& options) {
    return [options](Inputs x) { return attention(x[0], x[1], x[2], options); };
  };
  const auto with_bias = [](Inputs x) { return attention(x[0], x[1], x[2], {.causal = true, .bias = x[3]}); };
  const auto dropped = [](Inputs x) {
    Rng rng(5);
    return attention(x[0], x[1], x[2], {.dropout = 0.4, .rng = &rng});
  };
  // By the places of x, or those given.
  const auto turned = [](const Indices& positions, const RotaryLayout& layout) {
    return [=](Inputs x) {
      const std::int64_t time = x[0].dim(layout.time_first ? 1 : 2);
      const RotaryOptions how{.base = 10, .frequencies = {}, .dtype = x[0].dtype()};
      return rotary(x[0],
                    positions.rank() == 2 ? rotary_angles(positions, 4, how) : rotary_angles(time, 4, how, 1),
                    layout);
    };
  };
  const auto layer = [](const nn::MultiHeadAttentionOptions& options) {
    return [options](Inputs x) {
      Rng rng(1);
      nn::MultiHeadAttention made(rng, 4, 2, options);
      static_cast<Variable&>(made.in_proj_weight) = x[1];
      static_cast<Variable&>(made.in_proj_bias) = x[2];
      static_cast<Variable&>(made.out_proj.weight) = x[3];
      static_cast<Variable&>(made.out_proj.bias) = x[4];
      return made(x[0], {.causal = true});
    };
  };
  const auto crossed = [](Inputs x) {
    Rng rng(1);
    nn::MultiHeadAttention made(rng, 4, 2, {.key_width = 3, .value_width = 3});
    static_cast<Variable&>(made.q_proj_weight) = x[2];
    static_cast<Variable&>(made.k_proj_weight) = x[3];
    static_cast<Variable&>(made.v_proj_weight) = x[4];
    static_cast<Variable&>(made.in_proj_bias) = x[5];
    static_cast<Variable&>(made.out_proj.weight) = x[6];
    made.out_proj.bias = Parameter();
    return made(x[0], x[1], x[1]);
  };
  const auto packed = [](Inputs x) { return packed_attention(x[0], 2, 1, {.causal = true}); };
  const auto packed_with_bias = [](Inputs x) { return packed_attention(x[0], 2, 1, {.bias = x[1]}); };
  const Tensor mask = Tensor::of({1, 0, 1, 0, 0, 0, 0, 1, 1}).reshape({3, 3});  // one row without keys
  const Tensor slopes = Tensor::of({0.5, 0.25});
  const std::vector<Shape> small{{1, 2, 3, 2}, {1, 2, 3, 2}, {1, 2, 3, 2}};
  const std::vector<Shape> two{{2, 1, 3, 2}, {2, 1, 3, 2}, {2, 1, 3, 2}};
  return {
      // Plain, one query of several keys, grouped queries, values of another width, and no queries or keys.
      {"attention",
       with({}),
       {small,
        {{1, 1, 1, 2}, {1, 1, 4, 2}, {1, 1, 4, 3}},
        {{1, 4, 2, 2}, {1, 2, 3, 2}, {1, 2, 3, 1}},
        {{1, 1, 0, 2}, {1, 1, 3, 2}, {1, 1, 3, 2}},
        {{1, 1, 2, 2}, {1, 1, 0, 2}, {1, 1, 0, 2}}}},
      {"attention",
       with({.scale = 0.3, .causal = true}),
       {small, {{1, 1, 2, 2}, {1, 1, 4, 2}, {1, 1, 4, 2}}}},
      {"attention", with({.causal = true, .offset = -1}), {small}},
      {"attention", with({.causal = true, .offsets = {0, 2}, .lengths = {2, 3}}), {two}},
      {"attention", with({.lengths = {0, 2}}), {two}},
      {"attention",
       with({.causal = true, .window = 2, .sinks = 1}),
       {{{1, 1, 4, 2}, {1, 1, 4, 2}, {1, 1, 4, 2}}}},
      {"attention", with({.window = 2}), {small}},
      {"attention", with({.segments = Indices({1, 1, 2}, {1, 3})}), {small}},
      {"attention",
       with({.segments = Indices({1, 1, 2}, {1, 3}), .query_segments = Indices({2, 1, 3}, {1, 3})}),
       {small}},
      {"attention", with({.mask = mask}), {small}},
      {"attention", with({.causal = true, .starts = Indices({0, 0, 2, 0, 1, 1}, {2, 3})}), {two}},
      {"attention", with({.starts = Indices({0, 2, 3}, {1, 3})}), {small}},
      {"attention", with({.slopes = slopes}), {small}},
      {"attention", with({.time_first = true}), {{{1, 3, 2, 2}, {1, 2, 1, 2}, {1, 2, 1, 2}}}},
      {"attention",
       with_bias,
       {{{1, 2, 3, 2}, {1, 1, 3, 2}, {1, 1, 3, 2}, {2, 3, 3}},
        {{2, 1, 2, 2}, {2, 1, 3, 2}, {2, 1, 3, 2}, {3}}}},
      {"attention", dropped, {small}},
      {"packed_attention", packed, {{{2, 3, 8}}, {{1, 0, 8}}}},
      {"packed_attention", packed_with_bias, {{{1, 3, 8}, {2, 3, 3}}}},
      {"rotary", turned({}, {}), {{{2, 1, 3, 4}}, {{1, 2, 0, 4}}}},
      {"rotary", turned({}, {.pairs = RotaryPairs::interleaved, .time_first = true}), {{{1, 3, 2, 5}}}},
      {"rotary", turned(Indices({5, 0, 2, 1}, {2, 2}), {}), {{{2, 1, 2, 6}}}},
      {"MultiHeadAttention", layer({.kv_heads = 1}), {{{2, 3, 4}, {8, 4}, {8}, {4, 4}, {4}}}},
      {"MultiHeadAttention", crossed, {{{1, 2, 4}, {1, 3, 3}, {4, 4}, {4, 3}, {4, 3}, {12}, {4, 4}}}},
  };
}

}  // namespace gradus::test
