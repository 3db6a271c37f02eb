#include "models/train.hpp"

namespace gradus::models::detail {

void fail_not_finite(std::int64_t step, double loss, const std::string& what) {
  // On one line, as a program's error is.
  std::string first = what;
  for (std::size_t at = 0; (at = first.find("\n  ", at)) != first.npos;) first.replace(at, 3, "; ");
  fail<NumericError>("training step {}: the loss is {} (a lower learning rate often helps); first: {}", step,
                     std::isnan(loss) ? "NaN" : fmt::format("{:.6g}", loss), first);
}

bool is_usable(double loss) {
  return std::isfinite(std::exp(loss));
}

void check_train_options(const TrainOptions& options) {
  if (options.batch < 1 || options.steps < 1 || options.epochs < 1) {
    fail<ArgumentError>("training with batch {}, steps {}, epochs {}: each must be at least 1", options.batch,
                        options.steps, options.epochs);
  }
}

}  // namespace gradus::models::detail
