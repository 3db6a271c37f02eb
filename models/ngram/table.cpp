#include "models/ngram/table.hpp"

#include <algorithm>
#include <vector>

#include "autograd/module_path.hpp"
#include "autograd/ops/indexing.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

const TableNetwork::Options& checked(const TableNetwork::Options& options) {
  if (options.order < 1 || options.vocab < 1) {
    fail<ArgumentError>("an n-gram table of order {} over {} words: both begin at 1", options.order,
                        options.vocab);
  }
  return options;
}

}  // namespace

TableNetwork::TableNetwork(std::span<const std::int32_t> text, const Options& chosen)
    : options(checked(chosen)) {
  const auto length = static_cast<std::size_t>(options.order - 1);
  std::u32string context(length, static_cast<char32_t>(options.vocab));
  for (const std::int32_t token : text) {
    if (token < 0 || token >= options.vocab)
      fail<ArgumentError>("an n-gram table: token {} is not in 0..{}", token, options.vocab - 1);
    context += static_cast<char32_t>(token);
    context.erase(0, 1);
    rows_.emplace(context, static_cast<std::int32_t>(rows_.size()) + 1);
  }
  logits = Parameter(zeros({static_cast<std::int64_t>(rows_.size()) + 1, options.vocab}));
}

Window TableNetwork::start(std::int64_t batch) const {
  return Window::filled(std::max(options.order - 2, 0), batch, options.vocab);
}

std::pair<Variable, Window> TableNetwork::operator()(const Indices& x, const Window& state, Rng*) const {
  const InModule here(*this);
  const std::int64_t steps = x.dim(0), batch = x.dim(1);
  auto [ids, next] = state.read(x);
  std::vector<std::int32_t> rows;
  std::u32string context(static_cast<std::size_t>(options.order - 1), 0);
  for (std::int64_t t = 0; t < steps; ++t) {
    for (std::int64_t b = 0; b < batch; ++b) {
      std::int64_t at = t * batch + b;
      for (char32_t& token : context) {
        token = static_cast<char32_t>(ids.values()[static_cast<std::size_t>(at)]);
        at += batch;
      }
      const auto found = rows_.find(context);
      rows.push_back(found == rows_.end() ? 0 : found->second);
    }
  }
  return {gather_rows(logits, Indices(std::move(rows), {steps, batch})), std::move(next)};
}

}  // namespace gradus::models
