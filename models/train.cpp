#include "models/train.hpp"

#include <algorithm>

namespace gradus::models {

void TrainProgress::add(std::int64_t size, double mean_loss) {
  ++step;
  tokens += size;
  loss = step == 1 ? mean_loss
                   : loss + (mean_loss - loss) / static_cast<double>(std::min<std::int64_t>(step, 100));
}

std::int64_t updates(std::span<const std::int32_t> tokens, const TrainOptions& options) {
  if (options.updates < 0 || options.warmup < 0) {
    fail<ArgumentError>("training with updates {} and warmup {}: neither may be below 0", options.updates,
                        options.warmup);
  }
  if (options.batch < 1 || options.steps < 1 || options.epochs < 1) {
    fail<ArgumentError>("training with batch {}, steps {}, epochs {}: each must be at least 1", options.batch,
                        options.steps, options.epochs);
  }
  const std::int64_t once = batches(tokens, {.batch = options.batch, .steps = options.steps}).size();
  return options.updates > 0 ? options.updates : options.epochs * once;
}

namespace detail {

void fail_not_finite(std::int64_t step, double loss, const std::string& what) {
  // On one line, as the errors of a program are.
  std::string first = what;
  for (std::size_t at = 0; (at = first.find("\n  ", at)) != first.npos;) first.replace(at, 3, "; ");
  fail<NumericError>("training step {}: the loss is {} (a lower learning rate often helps); first: {}", step,
                     std::isnan(loss) ? "NaN" : fmt::format("{:.6g}", loss), first);
}

bool is_usable(double loss) {
  return std::isfinite(std::exp(loss));
}

}  // namespace detail
}  // namespace gradus::models
