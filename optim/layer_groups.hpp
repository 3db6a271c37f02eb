#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "autograd/freeze.hpp"
#include "optim/optimizer.hpp"

/// Fine-tuning by the depth of layers (Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text
/// Classification", arXiv 1801.06146): layers near the input hold what is general, and are changed less and
/// later than those near the output.
///
///   const optim::LayerGroups groups = optim::layer_groups(model);
///   optim::set_discriminative_rates(optimizer, groups);             // a rate for each depth
///   for (std::int64_t step = 0; step < steps; ++step) {
///     optim::unfreeze_last(model, groups, 1 + step / 100);          // the last one, the last two, ...
///     ...
namespace gradus::optim {

/// Parts of a model from the input to the output, each as patterns of the paths of its parameters, as
/// `freeze` and Optimizer::for_parameters take them: {{"embed.*"}, {"h.0.*"}, {"h.1.*"}, {"head.*"}}.
using LayerGroups = std::vector<std::vector<std::string>>;

namespace detail {
/// The groups of parameters with these paths.
LayerGroups layer_groups(const std::vector<std::string>& paths);
}  // namespace detail

/// The parts of a model in the order of its `members`: what stands in a list ("h.0", "encoder.layers.3") or
/// is a layer of a recurrent one ("lstm.weight_ih_l1") is a group for each number, all else one for each part
/// of the model ("embed"). Where parts stand in another order than they are computed in, write the groups
/// down.
template <class M>
LayerGroups layer_groups(const M& model) {
  std::vector<std::string> paths;
  for_each_parameter(model, [&](const std::string& path, const Parameter&) { paths.push_back(path); });
  return detail::layer_groups(paths);
}

/// Discriminative rates (section 3.2): the last group has the optimizer's learning rate, whatever a schedule
/// makes of it, and each one before it that of the next divided by `factor`, in the paper 2.6. Throws
/// ArgumentError for a factor that is not above 0, and without groups.
template <class Rule>
void set_discriminative_rates(Optimizer<Rule>& optimizer, const LayerGroups& groups, double factor = 2.6) {
  if (!(factor > 0 && std::isfinite(factor)))
    fail<ArgumentError>("set_discriminative_rates: a factor of {}; it must be above 0", factor);
  if (groups.empty()) fail<ArgumentError>("set_discriminative_rates: no groups");
  for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
    const double share = std::pow(factor, -static_cast<double>(groups.size() - 1 - i));
    optimizer.for_parameters(groups[i], [share](auto& options) { options.lr *= share; });
  }
}

/// Gradual unfreezing (section 3.3): trains the last `count` groups of a model, all of them where there are
/// no more, and freezes everything else. The number is a function of the step, so a run resumes with that
/// alone. Throws ArgumentError for a count below 1, and as freeze.
template <class M>
void unfreeze_last(M& model, const LayerGroups& groups, std::int64_t count) {
  if (count < 1) fail<ArgumentError>("unfreeze_last: {} groups; one at least is trained", count);
  const auto trained = static_cast<std::size_t>(std::min<std::int64_t>(count, std::ssize(groups)));
  freeze(model);
  for (std::size_t i = groups.size() - trained; i < groups.size(); ++i) unfreeze(model, groups[i]);
}

}  // namespace gradus::optim
