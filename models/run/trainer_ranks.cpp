// What a Trainer does with the pieces of a batch, in one process or in several.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/tape.hpp"
#include "models/run/pieces.hpp"
#include "models/run/trainer.hpp"
#include "nn/lora_adapter.hpp"
#include "tensor/matmul_precision.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t for_pieces = 3;  // what random numbers are drawn for; trainer.cpp has the others

MatmulPrecision precision_of(const RunConfig& c) {
  const std::string& name = c.training.matmul_precision;
  return name == "medium" ? MatmulPrecision::medium
         : name == "high" ? MatmulPrecision::high
                          : MatmulPrecision::exact;
}

}  // namespace

/// What a process says of its pieces.
struct Trainer::Told {
  std::vector<double> losses;
  std::vector<std::any> states;
  Clock::time_point begun = Clock::now();
  std::function<void()> explain;  // where a loss is of no use
};

/// Random numbers for dropout: those of a piece depend on nothing but its place, so that it does not matter
/// which process computes it.
Rng Trainer::rng_of_piece(std::size_t batch, std::int64_t piece) const {
  return Rng(config_.training.seed)
      .fork(for_pieces)
      .fork(static_cast<std::uint64_t>(step_))
      .fork(static_cast<std::uint64_t>(batch) * static_cast<std::uint64_t>(pieces_) +
            static_cast<std::uint64_t>(piece));
}

/// The gradient of the mean loss of these batches, over all pieces of all processes.
Gradients Trainer::gradient(std::span<const Batch> batches, const UpdateOptions& options, Update& out) {
  optim::GradientTree tree;
  Told told;
  Gradients sum;
  for (std::int64_t k = 0; k < own_pieces_; ++k) {
    sum = Gradients();
    std::any state = at_.carried[static_cast<std::size_t>(k)];
    told.losses.push_back(0);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      const Batch batch = columns(batches[i], first_piece_ + k, pieces_);
      const double share = static_cast<double>(batches[i].x.size()) / static_cast<double>(out.tokens);
      Rng of_piece = rng_of_piece(i, first_piece_ + k);
      Rng& rng = pieces_ == 1 ? at_.rng : of_piece;
      const Rng before = rng;
      const MatmulPrecisionScope precision(precision_of(config_));
      Tape tape;
      const nn::LoraDropout of_adapters(&rng);
      ErasedLoss of = network_.loss(batch, state, &rng,
                                    {config_.training.activation_penalty, config_.training.change_penalty});
      const double loss = of.mean.item();
      told.losses.back() += loss * share;
      if (!detail::is_usable(loss)) told.explain = [&, loss] { explain(batch, state, before, loss); };
      const bool last = k + 1 == own_pieces_ && i + 1 == batches.size();
      if (last) told.states.push_back(of.next);
      if (last || told.explain) tell(told, options, out);
      const Variable total = of.penalty.value().defined() ? of.mean + of.penalty : of.mean;
      Gradients gradients = backward(tape, total, batches.size() > 1 ? share : 1, sum, tree, last && ranks_);
      if (i == 0) {
        sum = std::move(gradients);
      } else {
        sum += gradients;
      }
      if (network_.carries_state()) state = std::move(of.next);
    }
    if (k + 1 < own_pieces_) {
      told.states.push_back(state);
      tree.add(std::move(sum));
    }
  }
  if (network_.carries_state()) at_.carried = std::move(told.states);
  if (ranks_ != nullptr) return ranks_->finish(tree.take_rest(std::move(sum)));
  tree.add(std::move(sum));
  Gradients all = tree.take();
  if (pieces_ > 1) all *= 1.0 / static_cast<double>(pieces_);
  return all;
}

/// The gradients of a loss times its share. The last ones of this process are sent as they come: those
/// `before` them, of the same piece, and the tree's are added first.
Gradients Trainer::backward(Tape& tape, const Variable& loss, double share, const Gradients& before,
                            optim::GradientTree& tree, bool sends) {
  if (!sends) {
    Gradients out = tape.backward(loss);
    if (share != 1) out *= share;
    return out;
  }
  static_cast<void>(tape.backward(loss, {.ready = [&](Gradient& gradient) {
                                    // Asked for once: a dense one that is moved from would be none.
                                    Tensor& values = gradient.values();
                                    if (share != 1) values = std::move(values) * share;
                                    const Gradient* const of_piece = before.find(gradient.of);
                                    if (of_piece != nullptr)
                                      gradient = sum_of(std::move(gradient), *of_piece);
                                    tree.complete(gradient);
                                    ranks_->add(gradient);
                                  }}));
  return {};
}

/// Tells the others the losses of this process's pieces, what it asks for and, for those that may have to
/// save them, the states that the pieces end with; and hears the same of them. Throws where a loss is of no
/// use.
void Trainer::tell(Told& told, const UpdateOptions& options, Update& out) {
  const auto take_losses = [&](std::span<const double> losses) {
    for (const double loss : losses) out.loss += loss;
  };
  if (told.explain) told.losses.back() = std::numeric_limits<double>::quiet_NaN();  // whatever its share is
  const double seconds = std::chrono::duration<double>(Clock::now() - told.begun).count();
  if (alone()) {
    if (told.explain) told.explain();
    take_losses(told.losses);
    out.loss /= static_cast<double>(pieces_);
    out.stop = options.stop;
    out.save = options.save;
    out.asks_part_norms = options.part_norms;
    out.seconds = {seconds};
    return;
  }
  const auto own = static_cast<std::size_t>(own_pieces_);
  told.losses.resize(own, 0);
  std::vector<double> numbers = told.losses;
  numbers.insert(numbers.end(), {seconds, options.stop ? 1.0 : 0.0, options.save ? 1.0 : 0.0,
                                 options.part_norms ? 1.0 : 0.0});
  const std::size_t head = numbers.size() * sizeof(double);
  const std::string text(reinterpret_cast<const char*>(numbers.data()), head);
  std::vector<std::string> to_each(static_cast<std::size_t>(ranks_->size()), text);
  if (network_.carries_state() && !told.explain) {
    std::string states;
    for (const std::any& state : told.states) states += carried_bytes(state);
    for (std::size_t r = 0; r < 2; ++r) to_each[r] += states;  // those that may have to save them
  }
  const std::vector<std::string> came = ranks_->exchange_texts(to_each);
  auto all_carried = std::make_shared<std::vector<std::string>>();
  int of_no_use = -1;
  for (std::size_t r = 0; r < came.size(); ++r) {
    if (came[r].size() < head)
      fail<DataError>("{} sent less than it should", ranks_->name(static_cast<int>(r)));
    std::memcpy(numbers.data(), came[r].data(), head);
    const std::span<const double> losses = std::span(numbers).first(own);
    take_losses(losses);
    if (!std::ranges::all_of(losses, detail::is_usable)) of_no_use = static_cast<int>(r);
    out.seconds.push_back(numbers[own]);
    out.stop |= numbers[own + 1] != 0;
    out.save |= numbers[own + 2] != 0;
    out.asks_part_norms |= numbers[own + 3] != 0;
    const std::size_t size = (came[r].size() - head) / own;
    for (std::size_t k = 0; k < own; ++k) all_carried->push_back(came[r].substr(head + k * size, size));
  }
  out.loss /= static_cast<double>(pieces_);
  if (told.explain) told.explain();
  if (of_no_use >= 0)
    detail::fail_not_finite(step_ + 1, out.loss, fmt::format("what {} computed", ranks_->name(of_no_use)));
  if (keeps_all_carried()) at_.all_carried = std::move(all_carried);
}

/// Throws in all processes what the first gradient that is not finite is to throw, whoever has it.
void Trainer::require_finite(const Gradients& own) const {
  const auto& parts = parameters_.parts();
  std::string text;
  for (std::size_t i = 0; i < parts.size() && text.empty(); ++i) {
    const Gradient* const gradient = own.find(parts[i].second->place());
    if (gradient == nullptr) continue;
    try {
      optim::detail::check_finite(parts[i].first, *gradient);
    } catch (const NumericError& error) {
      text = fmt::format("{:08} {}", i, error.what());
    }
  }
  std::vector<std::string> found = ranks_->gather_texts(text);
  std::erase(found, "");
  if (!found.empty()) throw NumericError(std::ranges::min(found).substr(9));
}

/// One step of the optimizer, by this process of its own parameters where they are shared out. The norm is
/// that of all.
double Trainer::step(const Gradients& sum) {
  optim::StepOptions how;
  if (config_.training.clip > 0) how.clip_norm = config_.training.clip;
  if (!shards()) return optimizer_.step(parameters_, sum, how);
  how.norm = ranks_->norm(sum);
  if (!std::isfinite(*how.norm)) require_finite(sum);
  torn_ = true;
  try {
    static_cast<void>(optimizer_.step(parameters_, sum, how));
  } catch (const NumericError&) {
    torn_ = false;  // in all processes, before anything has changed
    throw;
  }
  ranks_->share(optimizer_.steps_by_rows());
  torn_ = false;
  return *how.norm;
}

/// Of the streams of one piece: the sum over its tokens, which it counts.
double Trainer::piece_validation_loss(const Batches& all, std::int64_t piece, std::int64_t& count) const {
  std::any state;
  double total = 0;
  for (const Batch& whole : all) {
    const Batch batch = columns(whole, piece, pieces_);
    if (!state.has_value()) state = network_.start(batch.x.dim(1));
    ErasedLoss of = network_.loss(batch, state, nullptr);
    total += of.mean.item() * static_cast<double>(batch.x.size());
    count += batch.x.size();
    if (network_.carries_state()) state = std::move(of.next);
  }
  return total;
}

/// A state's tensors one after the other.
std::string Trainer::carried_bytes(const std::any& state) const {
  std::string out;
  for (const auto& [name, tensor] : network_.state_tensors(state).tensors) out += bytes_of_values(tensor);
  return out;
}

/// The states of all pieces: as "h" and so on of one, as "3.h" of several.
Safetensors Trainer::carried_tensors() const {
  if (!network_.carries_state()) return {};
  if (pieces_ == 1) return network_.state_tensors(at_.carried.front());
  Safetensors out;
  for (std::int64_t p = 0; p < pieces_; ++p) {
    const auto i = static_cast<std::size_t>(p);
    Safetensors of_piece = network_.state_tensors(at_.carried[alone() ? i : 0]);
    if (!alone() && !at_.all_carried)
      fail<ArgumentError>("the state of all pieces is known to ranks 0 and 1 alone; ask one of them");
    std::size_t used = 0;
    for (auto& [name, tensor] : of_piece.tensors) {
      if (at_.all_carried) set_values(tensor, (*at_.all_carried)[i], used);
      out.tensors.emplace(std::to_string(p) + "." + name, tensor);
    }
  }
  return out;
}

void Trainer::set_carried(const Safetensors& from) {
  if (!network_.carries_state()) return;
  const std::int64_t width = *config_.training.batch / pieces_;
  std::vector<std::string> all;
  for (std::int64_t p = 0; p < pieces_; ++p) {
    Safetensors of_piece;
    const std::string prefix = pieces_ == 1 ? "" : std::to_string(p) + ".";
    for (const auto& [name, tensor] : from.tensors) {
      if (name.starts_with(prefix)) of_piece.tensors.emplace(name.substr(prefix.size()), tensor);
    }
    std::any state = network_.state_of(of_piece, width);
    if (keeps_all_carried()) all.push_back(carried_bytes(state));
    const std::int64_t k = p - first_piece_;
    if (k >= 0 && k < own_pieces_) at_.carried[static_cast<std::size_t>(k)] = std::move(state);
  }
  if (keeps_all_carried()) at_.all_carried = std::make_shared<std::vector<std::string>>(std::move(all));
}

/// Of all parameters, whichever process has it, at rank 0; where they are shared out, of its own at the
/// others.
Safetensors Trainer::optimizer_state() const {
  Safetensors own = optimizer_.state(parameters_);
  if (!shards()) return own;
  const std::string bytes = safetensors_bytes(own);
  const std::vector<Team::Bytes> all = ranks_->collect(std::as_bytes(std::span(bytes)));
  for (std::size_t r = 1; ranks_->leads() && r < all.size(); ++r) {
    const std::string_view came(reinterpret_cast<const char*>(all[r].data()), all[r].size());
    own.tensors.merge(parse_safetensors(came, "the optimizer's state of another process").tensors);
  }
  return own;
}

}  // namespace gradus::models
