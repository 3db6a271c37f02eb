#include "models/train.hpp"

namespace gradus::models::detail {

void fail_not_finite(std::int64_t step, double loss, const std::string& what) {
  fail<NumericError>("training step {}: the loss is {}; first: {}. A lower learning rate often helps", step,
                     loss, what);
}

void check_train_options(const TrainOptions& options) {
  if (options.batch < 1 || options.steps < 1 || options.epochs < 1) {
    fail<ArgumentError>("training with batch {}, steps {}, epochs {}: each must be at least 1", options.batch,
                        options.steps, options.epochs);
  }
}

}  // namespace gradus::models::detail
