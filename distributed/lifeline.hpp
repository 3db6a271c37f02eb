#pragma once

// Internal: not part of the public interface.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace gradus::distributed {

/// Knows when another process is gone, which MPI does not tell: each process holds a TCP connection to rank
/// 0, and its system closes that when the process ends, however it ends. Rank 0 passes on what it sees.
class Lifeline {
 public:
  /// Rank 0 listens; `contact()` is how the others reach it.
  static std::string listen(int& socket);
  /// Rank 0, with the listening socket: takes the connections of the others, for some seconds. False where
  /// not all have come; then nothing is watched.
  bool accept(int socket, const std::string& contact, int size);
  /// Any other rank. False where rank 0 is not reached.
  bool connect(const std::string& contact, int rank);
  /// Begins to watch; false where the system does not let it.
  bool start(int rank, int size);
  /// Tells the others that this process ends by an error, which it has told the user itself.
  void fail();
  /// Says goodbye to the others, so that this end is no loss, and stops watching.
  ~Lifeline();

  /// The first process that was lost, -1: none.
  int lost() const { return lost_.load(std::memory_order_acquire); }
  /// Whether this one is known to be gone.
  bool gone(int rank) const { return gone_[static_cast<std::size_t>(rank)].load(std::memory_order_acquire); }
  /// Whether the first one has told why.
  bool explained() const { return explained_.load(std::memory_order_acquire); }

 private:
  void watch(int rank);
  void note(int rank, bool explained);
  void note_end(std::size_t i, bool explained, int own_rank);

  std::vector<int> sockets_;  // of rank 0: one for each rank, -1 for its own; of others: the one to rank 0
  std::vector<bool> open_;
  int wake_[2] = {-1, -1};
  std::unique_ptr<std::atomic<bool>[]> gone_;
  std::atomic<int> lost_{-1};
  std::atomic<bool> explained_{false}, failed_{false};
  std::thread thread_;
};

}  // namespace gradus::distributed
