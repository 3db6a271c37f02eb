#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/support/error.hpp"
#include "tensor/support/function_ref.hpp"

/// Several processes that train, count or evaluate together, by MPI. An optional part of the library, which
/// nothing else depends on: it is there where CMake finds MPI (scripts/bootstrap mpi).
namespace gradus::distributed {

using gradus::RankLost;

/// Whether this process was started beside others, by mpirun or srun: MPI is not begun to find out.
bool started_by_launcher();

/// Messages on their way. The memory that is sent from or received in must stay until they have arrived.
class Transfers {
 public:
  Transfers();
  Transfers(Transfers&&) noexcept;
  Transfers& operator=(Transfers&&) noexcept;
  ~Transfers();
  bool empty() const;

 private:
  friend class Communicator;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The processes that were started together, which are numbered from 0 (their ranks). All must make the same
/// calls in the same order. Nothing that waits for another process waits for one that is gone: it throws
/// RankLost (where `watched`), naming the process and its machine, and a process that is long in coming is
/// named to `notice`. One thread at a time may use it.
class Communicator {
 public:
  /// All processes of the job; MPI is begun by the first call. Alone, where no launcher started this one.
  /// Throws DataError where MPI cannot be begun.
  static Communicator world();

  int rank() const;
  int size() const;
  bool alone() const { return size() == 1; }
  /// "rank 3 (process 1234 on node7)".
  std::string name(int rank) const;
  /// Told in a sentence of what is waited for longer than `seconds`: by default, 10.
  void set_notice(std::function<void(const std::string&)> notice, double seconds = 10);

  static constexpr int first_library_tag = 1 << 14;  // all are below 2^15, which every MPI has

  /// Begins to send or to receive; messages between two processes with one tag arrive in order. A tag is from
  /// 0 to first_library_tag - 1; those above are the library's. Throws ArgumentError where this process is
  /// alone.
  void send(std::span<const std::byte> bytes, int to, int tag, Transfers& out) const;
  void receive(std::span<std::byte> bytes, int from, int tag, Transfers& out) const;
  /// Moves messages on, and says whether all of these have arrived.
  bool done(Transfers& transfers) const;
  void wait(Transfers& transfers) const;
  /// The same for anything: `arrived` is asked until it says so, `whom` which process is waited for.
  void wait_until(FunctionRef<bool()> arrived, FunctionRef<int()> whom) const;
  /// A process that one of these is from or for; -1: none.
  int first_peer(const Transfers& transfers) const;

  void barrier() const;
  /// The bytes of the process `from`, whatever the others give.
  std::vector<std::byte> broadcast(std::span<const std::byte> bytes, int from = 0) const;
  std::string broadcast(const std::string& text, int from = 0) const;
  /// What each process gives, in the order of ranks; the lengths may differ.
  std::vector<std::vector<std::byte>> gather_all(std::span<const std::byte> own) const;
  std::vector<std::string> gather_all(const std::string& own) const;
  std::vector<double> gather_all(double own) const;
  /// Entry r of `to_each`, one for each process, goes to rank r; the result has what came from each.
  std::vector<std::string> exchange(std::span<const std::string> to_each) const;
  std::vector<std::vector<std::byte>> exchange(std::span<const std::vector<std::byte>> to_each) const;
  std::vector<std::vector<std::byte>> exchange(std::span<const std::span<const std::byte>> to_each) const;
  /// The same, with a word to all: `words` becomes that of each process.
  std::vector<std::vector<std::byte>> exchange(std::span<const std::span<const std::byte>> to_each,
                                               std::int64_t word, std::span<std::int64_t> words) const;

  /// Holds tags of the library for one that sends by them; false where another one does. It ends by
  /// `release`, which does nothing where `who` does not hold them.
  bool hold(const void* who) const;
  void release(const void* who) const;

  /// Throws RankLost where a process is known to be gone.
  void check() const;
  /// Which process is known to be gone; -1: none.
  int lost() const;
  /// The process that saves what there is: rank 0 or, where that is gone, rank 1.
  int saver() const;
  /// Whether the lost process has told the user why.
  bool explained() const;
  /// Whether processes that end are noticed: not where one could not reach rank 0 by TCP.
  bool watched() const;
  /// Ends this process at once, as MPI cannot be ended in order when a process is gone. Where this one is the
  /// first to go, the others hear of it, and that it has told the user why. All wait for the one that saves.
  [[noreturn]] void leave(int exit_code) const;

 private:
  struct Impl;
  void require_others() const;
  [[noreturn]] void fail_unreached(int rank) const;
  explicit Communicator(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<Impl> impl_;
};

}  // namespace gradus::distributed
