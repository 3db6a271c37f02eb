#pragma once

#include <vector>

#include "autograd/parameter_view.hpp"

namespace gradus::optim {

/// Which of so many processes owns each of a model's parameters, in the order of its parts(), where each
/// process makes the steps of its own alone (distributed/gradient_sum.hpp): the largest first, to the one
/// that has the fewest elements so far. A frozen one is process 0's. Throws ArgumentError unless there is a
/// process.
std::vector<int> owners_of(const ParameterView& parameters, int processes);

}  // namespace gradus::optim
