#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "distributed/communicator.hpp"
#include "models/team.hpp"
#include "tensor/support/function_ref.hpp"

namespace gradus::distributed {

/// Why work ended early, and the exit code for it.
struct Failure {
  int code = 1;
  std::string message;
};

/// The processes of a Communicator as a team. Where one fails, all of them learn of it at their next
/// exchange.
class ProcessTeam : public models::Team {
 public:
  /// `interrupted` is asked at each exchange; an exit code above 0 ends the work of all.
  explicit ProcessTeam(Communicator all, std::function<int()> interrupted = {})
      : all_(std::move(all)), interrupted_(std::move(interrupted)) {}

  int rank() const override { return all_.rank(); }
  int size() const override { return all_.size(); }
  /// Throws MemberFailed where another member has called fail(), RankLost where one is gone.
  std::vector<Bytes> exchange(std::span<const std::span<const std::byte>> to_each) override;
  /// In place of the next exchange: tells the others why this member goes no further. Gives what all agree
  /// on: the failure of the member of the lowest rank, with its name where others did not fail like it.
  Failure fail(const Failure& own);

 private:
  std::vector<Bytes> swap(std::span<const std::span<const std::byte>> to_each, int code,
                          std::span<std::int64_t> codes);
  Failure agreed(std::span<const Bytes> messages, std::span<const std::int64_t> codes) const;

  Communicator all_;
  std::function<int()> interrupted_;
  bool in_exchange_ = false;
};

/// Another member of a team has failed; says what all members say.
class MemberFailed : public Error {
 public:
  explicit MemberFailed(Failure failure) : Error(failure.message), failure_(std::move(failure)) {}
  const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
};

/// Does work in all processes, each of which calls this. They refuse each other where `identity`, such as the
/// program's version and its options, is not the same for all. Returns why it failed, the same in all
/// processes, after all have come to the end; nothing where it did not. `describe` says what an exception
/// means. Throws RankLost where a process is gone.
std::optional<Failure> work_together(ProcessTeam& team, const std::string& identity,
                                     FunctionRef<void(models::Team&)> work,
                                     FunctionRef<Failure(std::exception_ptr)> describe);

}  // namespace gradus::distributed
