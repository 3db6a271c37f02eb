#include "tensor/support/launcher.hpp"

#include <cstdlib>
#include <initializer_list>

namespace gradus {

namespace {

/// The number in the first of these variables that there is; -1: none.
int number_in(std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    const char* const value = std::getenv(name);
    if (value != nullptr) return std::atoi(value);
  }
  return -1;
}

}  // namespace

Launched launched() {
  // Of Open MPI, PMIx (Open MPI 5, Slurm), and PMI (MPICH, Intel MPI, Slurm). Slurm's own say more, but are
  // there too where a script runs that it has not started several times.
  Launched out;
  out.by_launcher =
      number_in({"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"}) >= 0;
  if (!out.by_launcher) return out;
  out.rank = number_in({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"});
  out.size = number_in({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"});
  return out;
}

}  // namespace gradus
