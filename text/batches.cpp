#include "text/batches.hpp"

#include <algorithm>

#include "tensor/support/error.hpp"

namespace gradus {

Batches::Batches(std::span<const std::int32_t> tokens, const BatchOptions& options, std::string_view name)
    : tokens_(tokens), options_(options) {
  const auto [batch, steps, drop_last] = options;
  if (batch < 1 || steps < 1) {
    fail<ArgumentError>("batches: batch {} and steps {}; both must be 1 or more", batch, steps);
  }
  const auto found = static_cast<std::int64_t>(tokens.size());
  stream_ = (found - 1) / batch;
  size_ = drop_last ? stream_ / steps : (stream_ + steps - 1) / steps;
  if (found < 2 || size_ < 1) {
    fail<DataError>(
        "{} has {} tokens, but a batch of {} streams of {} steps needs at least {}; give a longer text or a "
        "smaller batch",
        name, found, batch, steps, batch * (drop_last ? steps : 1) + 1);
  }
}

std::int64_t Batches::tokens() const {
  return options_.batch * (options_.drop_last ? size_ * options_.steps : stream_);
}

Batch Batches::operator[](std::int64_t i) const {
  if (i < 0 || i >= size_) fail<ArgumentError>("batches: there is no batch {} among {}", i, size_);
  const std::int64_t first = i * options_.steps;
  return part(first, std::min(options_.steps, stream_ - first));
}

Batch Batches::part(std::int64_t first, std::int64_t steps) const {
  if (first < 0 || steps < 1 || first > stream_ - steps)
    fail<ArgumentError>("batches: there are no {} steps from {} on in streams of {}", steps, first, stream_);
  const Shape shape{steps, options_.batch};
  std::vector<std::int32_t> x(static_cast<std::size_t>(shape.size()));
  std::vector<std::int32_t> y(x.size());
  for (std::int64_t t = 0, at = 0; t < steps; ++t) {
    for (std::int64_t column = 0; column < options_.batch; ++column, ++at) {
      const auto place = static_cast<std::size_t>(column * stream_ + first + t);
      x[static_cast<std::size_t>(at)] = tokens_[place];
      y[static_cast<std::size_t>(at)] = tokens_[place + 1];
    }
  }
  return {Indices(std::move(x), shape), Indices(std::move(y), shape)};
}

Batch random_batch(std::span<const std::int32_t> tokens, const BatchOptions& options, Rng& rng) {
  const auto [batch, steps, drop_last] = options;
  if (batch < 1 || steps < 1)
    fail<ArgumentError>("random_batch: batch {} and steps {}; both must be 1 or more", batch, steps);
  if (std::ssize(tokens) <= steps)
    fail<DataError>("a text of {} tokens has no context of {} and a token after it", tokens.size(), steps);
  const Shape shape{steps, batch};
  std::vector<std::int32_t> x(static_cast<std::size_t>(shape.size())), y(x.size());
  for (std::int64_t column = 0; column < batch; ++column) {
    const auto begin = static_cast<std::int64_t>(rng.below(tokens.size() - static_cast<std::size_t>(steps)));
    for (std::int64_t t = 0; t < steps; ++t) {
      const auto at = static_cast<std::size_t>(t * batch + column),
                 place = static_cast<std::size_t>(begin + t);
      x[at] = tokens[place];
      y[at] = tokens[place + 1];
    }
  }
  return {Indices(std::move(x), shape), Indices(std::move(y), shape)};
}

Batches batches(std::span<const std::int32_t> tokens, const BatchOptions& options, std::string_view name) {
  return Batches(tokens, options, name);
}

}  // namespace gradus
