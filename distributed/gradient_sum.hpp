#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/parameter_view.hpp"
#include "distributed/communicator.hpp"
#include "tensor/indices.hpp"

namespace gradus::distributed {

/// The sum of all processes' gradients, times a factor, with the same bits in each of them. It is that of a
/// binary tree over the ranks, ((0 + 1) + (2 + 3)) + ..., so that a batch of 2^k pieces has the gradient of
/// one process that adds its pieces in that order (optim/gradient_tree.hpp) for 1, 2, ... 2^k processes.
///
/// Gradients may be given one by one as backward completes them; messages are then on their way while it goes
/// on. Those of small parameters travel together. Each process adds up its share of the elements, which it
/// gets from all others, and sends them the sum, so that each sends and receives 2 (n - 1) / n times the
/// bytes of the gradients, as with the ring of Patarasuk and Yuan (2009), in two steps instead of 2 (n - 1).
/// Gradients by rows travel as rows, to all. Both `add` and `finish` add numbers up, as messages come: a
/// scope that changes how (FlushSubnormals) belongs around both of them, or neither.
///
/// With owners, of each parameter one process alone gets the sum, to make its step and then `share` it: as
/// many bytes as above, a part of the optimizer's work and state for each process (ZeRO, stage 1; Rajbhandari
/// et al. 2020).
///
///   GradientSum sum(all, model, 1.0 / all.size());
///   for (...) {
///     Tape tape;
///     ...
///     Gradients rest = tape.backward(loss, {.ready = [&](Gradient& g) { sum.add(g); }});
///     optimizer.step(model, sum.finish(std::move(rest)));
///   }
class GradientSum {
 public:
  /// The parameters must stay where they are; frozen ones have no part in it, and stay frozen. `owners` says
  /// which process owns each of parameters.parts(); empty, all get all sums. Throws ArgumentError unless the
  /// number of processes is a power of two, or for owners that are none of them, DataError where they have
  /// other parameters than this one.
  GradientSum(Communicator all, const ParameterView& parameters, double factor,
              std::span<const int> owners = {});
  template <class M>
  GradientSum(Communicator all, M& module, double factor)
      : GradientSum(std::move(all), ParameterView(module), factor) {}
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  /// Takes a gradient of one of the parameters, of which nothing more will come. Others are left as they are.
  void add(Gradient& gradient);
  /// Takes the rest, waits for the other processes, and gives the sums: with owners, of this process's own
  /// parameters. A parameter that has no gradient in any process has none in the result. One sum of the same
  /// processes may be on its way at a time: throws ArgumentError where another is, or where a parameter that
  /// was frozen is not any more.
  Gradients finish(Gradients rest);
  /// With owners, what `f` gives of each parameter's sum in the process that has it, in ascending order of
  /// place; and the norm of all sums, with the bits of gradus::norm of all in one process. For a step by a
  /// part of them: optimizer.step(model, sums, {.clip_norm = 1, .norm = sum.norm(sums)}).
  std::vector<std::pair<Place, double>> of_each(const Gradients& sums,
                                                FunctionRef<double(const Gradient&)> f) const;
  double norm(const Gradients& sums) const;
  /// With owners, after a step by the sums of the last `finish`: each parameter that had a gradient becomes
  /// its owner's in all processes. `by_rows` says that the step has changed those rows alone that a
  /// gradient by rows has (Optimizer::steps_by_rows). Where it throws, only some may have changed.
  void share(bool by_rows);

  /// Seconds that `finish` waited for messages, and that it and `add` took in all, since the start.
  double waited() const { return waited_; }
  double spent() const { return spent_; }

 private:
  enum class Form : std::uint8_t { none, dense, rows };
  enum class Agreed : std::uint8_t { none, dense, rows, mixed };
  struct Slot;
  struct Told;
  struct Bucket;

  void require_alike() const;
  void begin_sum();
  void make_buckets();
  bool take(Gradient& gradient);
  Tensor flat_of(const Bucket& bucket);
  void begin(Bucket& bucket);
  void add_shares(Bucket& bucket, std::int64_t begin, std::int64_t share) const;
  void sum_own_share(Bucket& bucket);
  /// Moves what is on its way on; true where nothing is any more.
  bool progress();
  bool progress(Bucket& bucket);
  void agree();
  int waited_for() const;
  int tag_of(const Bucket& bucket) const;
  bool gets(const Slot& slot) const;
  void take_sums(GradientList& out);
  void begin_anew();
  Gradients finish_alone(Gradients rest);
  bool is_in_bucket(std::size_t slot) const;
  void gather(std::span<const std::size_t> slots, GradientList& out);
  Gradient uninitialized_part(std::size_t slot, std::size_t rank) const;
  void share_whole(Slot& slot, Transfers& transfers);
  void share_rows(std::span<const std::size_t> slots);
  Indices all_ids(std::size_t slot) const;

  Communicator all_;
  double factor_;
  std::vector<Slot> slots_;  // one for each parameter, those of the last layers first
  std::map<Place, std::size_t> slot_of_;
  std::vector<std::pair<std::string, const Parameter*>> frozen_;
  std::vector<Bucket> buckets_;
  std::vector<Told> told_;  // by the processes, in the last sum, and what that comes to
  std::vector<Agreed> agreed_;
  bool begun_ = false;  // a sum, which is not finished
  double waited_ = 0, spent_ = 0;
};

/// The mean of all processes' gradients: of a batch that is cut in as many equal parts, with a mean loss
/// each, the gradient of the whole. Every process gives those of the same model, and gets the same bits. To
/// send them while backward goes on, use GradientSum.
///
///   optimizer.step(model, distributed::average(model, tape.backward(loss), all));
template <class M>
Gradients average(M& model, Gradients gradients, const Communicator& all) {
  return GradientSum(all, model, 1.0 / all.size()).finish(std::move(gradients));
}

}  // namespace gradus::distributed
