#pragma once

#include <memory>
#include <optional>

#include "distributed/communicator.hpp"
#include "distributed/gradient_sum.hpp"
#include "models/run/ranks.hpp"

namespace gradus::distributed {

/// The processes of a training run (models/run/run.hpp), by MPI:
///
///   distributed::RunRanks ranks(distributed::Communicator::world());
///   models::train_run(config, {.folder = "run", .ranks = &ranks});
class RunRanks final : public models::RunRanks {
 public:
  explicit RunRanks(Communicator all) : all_(std::move(all)) {}

  const Communicator& communicator() const { return all_; }
  /// Of the gradients since the last sum_over; null before.
  const GradientSum* gradient_sum() const { return sum_ ? &*sum_ : nullptr; }

  int rank() const override { return all_.rank(); }
  int size() const override { return all_.size(); }
  std::string name(int rank) const override { return all_.name(rank); }
  int saver() const override { return all_.saver(); }
  int lost() const override { return all_.lost(); }
  void set_notice(std::function<void(const std::string&)> notice) override {
    all_.set_notice(std::move(notice));
  }
  std::vector<Bytes> exchange(std::span<const std::span<const std::byte>> to_each) override {
    return all_.exchange(to_each);
  }
  void sum_over(const ParameterView& parameters, double factor, std::span<const int> owners) override {
    sum_.emplace(all_, parameters, factor, owners);
  }
  void add(Gradient& gradient) override { sum_.value().add(gradient); }
  Gradients finish(Gradients rest) override { return sum_.value().finish(std::move(rest)); }
  std::vector<std::pair<Place, double>> of_each(const Gradients& sums,
                                                FunctionRef<double(const Gradient&)> f) const override {
    return sum_.value().of_each(sums, f);
  }
  double norm(const Gradients& sums) const override { return sum_.value().norm(sums); }
  void share(bool by_rows) override { sum_.value().share(by_rows); }

 private:
  Communicator all_;
  std::optional<GradientSum> sum_;
};

}  // namespace gradus::distributed
