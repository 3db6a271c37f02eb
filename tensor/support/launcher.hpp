#pragma once

// Internal: not part of the public interface.

namespace gradus {

/// What a launcher of several processes, such as mpirun or srun, tells each of them by its environment. MPI
/// is not begun to find out.
struct Launched {
  bool by_launcher = false;
  int rank = -1;  // -1: it does not say
  int size = -1;  // the same
};
Launched launched();

}  // namespace gradus
