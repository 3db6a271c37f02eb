#include "cli/job.hpp"

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#include "cli/interrupt.hpp"
#include "tensor/support/error.hpp"
#ifdef GRADUS_MPI
#include "distributed/run_ranks.hpp"
#endif

namespace gradus::cli {

#ifdef GRADUS_MPI

namespace {

/// Of an error that all have, rank 0 tells; of another one who has it. One of the others waits a moment to
/// see which it is.
[[noreturn]] void end_with(const distributed::Communicator& all, const char* what) {
  for (int i = 0; i < 100 && all.rank() != 0 && all.lost() < 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const std::string who = all.rank() == 0 ? std::string() : all.name(all.rank()) + ": ";
  if (all.lost() < 0) fmt::print(stderr, "gradus: {}{}\n", who, what);
  all.leave(1);
}

}  // namespace

void in_job(const std::function<void(models::RunRanks*)>& work) {
  if (!distributed::started_by_launcher()) return work(nullptr);
  distributed::RunRanks ranks(distributed::Communicator::world());
  const distributed::Communicator& all = ranks.communicator();
  if (all.alone()) return work(nullptr);
  try {
    work(&ranks);
  } catch (const ExitCode&) {
    throw;  // all end so, in order
  } catch (const RankLost& lost) {
    if (all.rank() == all.saver() && !all.explained()) fmt::print(stderr, "gradus: {}\n", lost.what());
    all.leave(1);
  } catch (const std::bad_alloc&) {
    end_with(all, "not enough memory for this text and model; try a smaller one");
  } catch (const std::exception& error) {
    end_with(all, error.what());
  }
  // So that no process ends while others still work.
  all.barrier();
}

#else

void in_job(const std::function<void(models::RunRanks*)>& work) {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"}) {
    const char* const size = std::getenv(name);
    if (size != nullptr && std::atoi(size) > 1)
      fail<ArgumentError>(
          "this gradus was built without MPI, and {} processes of it were started; install libopenmpi-dev "
          "and "
          "build it again, or start one",
          size);
  }
  work(nullptr);
}

#endif

}  // namespace gradus::cli
