#pragma once

#include <functional>

#include "models/run/ranks.hpp"

namespace gradus::cli {

/// Calls work(ranks) with the processes that mpirun started beside this one, or with null where this one is
/// alone. An error of one process ends all of them: it is printed once, and the program ends here. Throws
/// ArgumentError where there are several and this program was built without MPI.
void in_job(const std::function<void(models::RunRanks*)>& work);

}  // namespace gradus::cli
