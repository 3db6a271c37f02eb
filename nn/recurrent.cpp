#include "nn/recurrent.hpp"

#include <cmath>
#include <numeric>

#include "nn/gru.hpp"
#include "nn/init.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"

namespace gradus::nn {

RecurrentWeights::RecurrentWeights(Rng& rng, std::int64_t gates, std::int64_t in, std::int64_t width,
                                   bool bias, std::int64_t projection) {
  const double bound = 1 / std::sqrt(static_cast<double>(width));
  weight_ih = Parameter(uniform(rng, {gates * width, in}, bound));
  weight_hh = Parameter(uniform(rng, {gates * width, projection > 0 ? projection : width}, bound));
  if (bias) {
    bias_ih = Parameter(uniform(rng, {gates * width}, bound));
    bias_hh = Parameter(uniform(rng, {gates * width}, bound));
  }
  if (projection > 0) weight_hr = Parameter(uniform(rng, {projection, width}, bound));
}

Tensor recurrent_weight_gradient(const Tensor& d_from_h, const Tensor& h0, const Tensor& h, bool reverse) {
  const std::int64_t steps = h.dim(0);
  const auto flat = [](const Tensor& sequence) {
    return sequence.reshape({sequence.dim(0) * sequence.dim(1), sequence.dim(2)});
  };
  Tensor out = matmul(d_from_h[reverse ? steps - 1 : 0], h0, {.transpose_a = true});
  if (steps == 1) return out;
  const auto all_but_first = [&](const Tensor& x) { return flat(x.rows(1, steps)); };
  const auto all_but_last = [&](const Tensor& x) { return flat(x.rows(0, steps - 1)); };
  // Each step's gradient with the h before it.
  if (reverse) {
    add_matmul(out, all_but_last(d_from_h), all_but_first(h), {.transpose_a = true});
  } else {
    add_matmul(out, all_but_first(d_from_h), all_but_last(h), {.transpose_a = true});
  }
  return out;
}

bool projects_table(const Embedding& embedding, const Indices& ids) {
  // A table with a row of padding is looked up, so that the row is not among its gradient's; a compact one
  // is no left side of a product.
  return !embedding.padding && embedding.weight.dim(0) < ids.size() && !is_compact(embedding.weight.dtype());
}

namespace detail {

namespace {
/// What to do where the numbers of steps and of sequences look exchanged; else nothing.
std::string batch_first_hint(bool exchanged, std::int64_t steps, std::int64_t batch) {
  if (!exchanged || steps == batch) return {};
  return fmt::format(
      ". The input has {} steps of {} sequences: sequences are time-major, (time, batch, width), so turn one "
      "that is batch-first with transpose(x, 0, 1)",
      steps, batch);
}
}  // namespace

void check_options(const std::string& name, std::int64_t in, std::int64_t width,
                   const RecurrentOptions& options, bool has_projection) {
  if (in < 1 || width < 1 || options.layers < 1) {
    fail<ArgumentError>("{}: {} layers of width {} over inputs of width {}; all must be at least 1", name,
                        options.layers, width, in);
  }
  for (const auto& [option, rate] : {std::pair{"dropout", options.dropout},
                                     {"weight_dropout", options.weight_dropout},
                                     {"zoneout.h", options.zoneout.h},
                                     {"zoneout.c", options.zoneout.c}}) {
    if (!(rate >= 0 && rate < 1))
      fail<ArgumentError>("{}: {} of {}; it must be at least 0 and below 1", name, option, rate);
  }
  if (options.projection == 0) return;
  if (!has_projection) fail<ArgumentError>("{}: only an Lstm has a projection", name);
  if (options.projection < 0 || options.projection >= width)
    fail<ArgumentError>("{}: a projection to {} of width {}; it must be narrower, and 0 is none", name,
                        options.projection, width);
}

void set_gate_bias(Parameter& bias, Parameter& other, int gate, int gates, double value) {
  if (!bias.value().defined()) fail<ArgumentError>("set_forget_bias: the layer has no biases");
  if (!std::isfinite(value)) fail<ArgumentError>("set_forget_bias: a bias of {}; it must be finite", value);
  const std::int64_t width = bias.size() / gates;
  for (Parameter* to : {&bias, &other}) {
    visit_dtype(to->dtype(), [&](auto tag) {
      using T = decltype(tag);
      std::fill_n(to->mutable_value().mutable_data<T>() + gate * width, width,
                  to == &bias ? static_cast<T>(value) : T{0});
    });
  }
}

MaskedSteps::MaskedSteps(const Tensor& mask, std::int64_t steps, std::int64_t batch) {
  if (mask.shape() != Shape{steps, batch}) {
    fail<ShapeError>("a mask of shape {}; it must be (time, batch), here {}{}", mask.shape(),
                     Shape{steps, batch},
                     batch_first_hint(mask.shape() == Shape{batch, steps}, steps, batch));
  }
  storage::PoolVector<std::int32_t> count(static_cast<std::size_t>(batch)),
      front(static_cast<std::size_t>(mask.size())), back(front.size());
  bool moves = false;
  for (std::int64_t sequence = 0; sequence < batch; ++sequence) {
    std::int64_t next = 0;
    for (const bool taken : {true, false}) {
      for (std::int64_t t = 0; t < steps; ++t) {
        const std::int64_t from = t * batch + sequence, to = next * batch + sequence;
        if ((mask.at(from) != 0) != taken) continue;
        front[static_cast<std::size_t>(to)] = static_cast<std::int32_t>(from);
        back[static_cast<std::size_t>(from)] = static_cast<std::int32_t>(to);
        moves |= from != to;
        ++next;
      }
      if (taken) count[static_cast<std::size_t>(sequence)] = static_cast<std::int32_t>(next);
    }
  }
  lengths = Indices::from_pool(std::move(count));
  if (!moves) return;
  to_front = Indices::from_pool(std::move(front));
  and_back = Indices::from_pool(std::move(back));
}

Variable MaskedSteps::moved(const Variable& x, const Indices& to) {
  if (to.size() == 0) return x;
  return reshape(index_select(reshape(x, {to.size(), x.dim(2)}), 0, to), x.shape());
}

void check_sequence(const Variable& x, std::int64_t in) {
  if (x.rank() != 3 || x.dim(0) < 1 || x.dim(2) != in) {
    fail<ShapeError>("the input has shape {}; it must be (time, batch, {}) with at least one step", x.shape(),
                     in);
  }
}

void check_tokens(const Embedding& embedding, const Indices& ids, std::int64_t in) {
  if (ids.rank() != 2 || ids.dim(0) < 1 || embedding.weight.dim(1) != in) {
    fail<ShapeError>(
        "ids of shape {} with embeddings of width {}; they must be (time, batch) with at least one "
        "step, and the width {}",
        ids.shape(), embedding.weight.dim(1), in);
  }
}

void check_state(const Variable& part, const Shape& wanted, Dtype dtype, std::int64_t steps) {
  if (part.shape() != wanted) {
    fail<ShapeError>("a state of shape {}; it must be (layers, batch, width), here {}{}", part.shape(),
                     wanted, batch_first_hint(part.shape() == wanted.with(1, steps), steps, wanted[1]));
  }
  if (part.dtype() != dtype) {
    fail<DtypeError>("a state of {} for weights of {}; start(batch) makes one that fits",
                     name_of(part.dtype()), name_of(dtype));
  }
}

SortedLengths::SortedLengths(const Indices& lengths, std::int64_t count, std::int64_t batch)
    : steps{count, batch} {
  if (lengths.size() == 0) return;
  const auto fits = [&](std::int32_t length) { return length >= 0 && length <= count; };
  if (lengths.shape() != Shape{batch} || !std::ranges::all_of(lengths.values(), fits)) {
    fail<ShapeError>(
        "lengths of shape {} from {} to {}; there must be one for each of the {} sequences, "
        "from 0 to the {} steps{}",
        lengths.shape(), std::ranges::min(lengths.values()), std::ranges::max(lengths.values()), batch, count,
        batch_first_hint(lengths.shape() == Shape{count}, count, batch));
  }
  const auto length = [&](std::int32_t sequence) { return lengths.data()[sequence]; };
  storage::PoolVector<std::int32_t> first(static_cast<std::size_t>(batch)), then(first.size());
  std::iota(first.begin(), first.end(), 0);
  std::ranges::stable_sort(first, std::ranges::greater(), length);
  steps.padding = zeros({count, batch, 1});
  float* const ended = steps.padding.mutable_data<float>();
  steps.rows.assign(static_cast<std::size_t>(count), 0);
  for (std::int64_t i = 0; i < batch; ++i) {
    const std::int32_t sequence = first[static_cast<std::size_t>(i)];
    then[static_cast<std::size_t>(sequence)] = static_cast<std::int32_t>(i);
    for (std::int64_t t = 0; t < count; ++t) {
      if (t < length(sequence)) {
        ++steps.rows[static_cast<std::size_t>(t)];
      } else {
        ended[t * batch + i] = 1;
      }
    }
  }
  if (std::ranges::is_sorted(first)) return;
  order = Indices::from_pool(std::move(first));
  back = Indices::from_pool(std::move(then));
}

SequenceInput SortedLengths::sorted(const SequenceInput& input) const {
  if (!input.is_table) return {steps.without_padding(sorted(input.x))};
  if (order.size() == 0) return input;
  storage::PoolVector<std::int32_t> ids;
  for (std::int64_t t = 0; t < input.steps(); ++t) {
    for (const std::int32_t sequence : order.values()) ids.push_back(input.ids[t].data()[sequence]);
  }
  return {input.x, Indices::from_pool(std::move(ids)).reshape(input.ids.shape()), true};
}

}  // namespace detail

template struct Recurrent<Lstm, LstmCell>;
template struct Recurrent<Gru, GruCell>;
template struct Recurrent<Rnn, RnnCell>;

}  // namespace gradus::nn
