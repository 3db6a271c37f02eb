#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/parameter_view.hpp"
#include "models/team.hpp"
#include "tensor/support/function_ref.hpp"

namespace gradus::models {

/// The processes that train one network together (distributed/run_ranks.hpp has those of MPI). Each has a
/// copy of the network, computes some pieces of every batch, and makes the same updates. All make the same
/// calls in the same order; what waits for a process that is gone throws RankLost.
class RunRanks : public Team {
 public:
  /// "rank 3 (process 1234 on node7)".
  virtual std::string name(int rank) const = 0;
  /// The process that saves what there is when one is gone: rank 0, or 1 where that is gone.
  virtual int saver() const = 0;
  /// The first process that is known to be gone; -1: none.
  virtual int lost() const = 0;
  /// Told in a sentence of a process that the others wait for.
  virtual void set_notice(std::function<void(const std::string&)> notice) = 0;

  /// Text r of `to_each` goes to rank r; the result has what came from each.
  std::vector<std::string> exchange_texts(std::span<const std::string> to_each);
  /// What each process gives.
  std::vector<std::string> gather_texts(const std::string& own);

  // The sum over all processes of the gradients of a network, in the order of a binary tree over their ranks,
  // times `factor`: the same bits everywhere.

  /// Before the first sum, and when the parameters are other ones. With `owners`, one for each parameter, the
  /// owner of a parameter alone gets its sum, makes its step, and shares it.
  virtual void sum_over(const ParameterView& parameters, double factor, std::span<const int> owners = {}) = 0;
  /// A gradient that is whole in this process; it is sent while backward goes on.
  virtual void add(Gradient& gradient) = 0;
  /// The sum, after the last gradient. Those of `rest` were not given before.
  virtual Gradients finish(Gradients rest) = 0;
  /// With owners: what `f` gives of each parameter's sum, whoever has it, in ascending order of place, and
  /// the norm of all sums, with the bits of gradus::norm.
  virtual std::vector<std::pair<Place, double>> of_each(const Gradients& sums,
                                                        FunctionRef<double(const Gradient&)> f) const = 0;
  virtual double norm(const Gradients& sums) const = 0;
  /// After a step by the sums that `finish` gave: all parameters become their owners'. `by_rows`: of
  /// gradients by rows the step has changed those rows alone.
  virtual void share(bool by_rows) = 0;
};

}  // namespace gradus::models
