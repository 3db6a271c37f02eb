#include "models/run/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/tape.hpp"
#include "models/run/pieces.hpp"
#include "nn/lora_adapter.hpp"
#include "optim/owners.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max() / 4;
constexpr std::int64_t valid_streams = 10;
// What random numbers are drawn for, beside dropout.
constexpr std::uint64_t for_lengths = 1, for_contexts = 2;

optim::OptimizerSettings optimizer_settings(const RunConfig& c) {
  optim::OptimizerSettings out{
      .name = c.optimizer.name, .options = c.optimizer.options, .no_decay = c.optimizer.no_decay};
  for (const std::string& one : c.optimizer.decay_of) {
    const auto [pattern, decay] = decay_of(one);
    out.decay_of.emplace_back(pattern, decay);
  }
  return out;
}

/// The lengths of the batches of an epoch. Those of variable ones are normal about `steps` with a deviation
/// of 5, or one time in twenty about half of it (Merity, Keskar and Socher 2018, section 4.1), and never
/// below 5.
std::vector<std::int64_t> lengths_of(const RunConfig& c, std::int64_t stream, std::int64_t epoch) {
  const std::int64_t steps = *c.training.steps;
  std::vector<std::int64_t> out;
  Rng rng = Rng(c.training.seed).fork(for_lengths).fork(static_cast<std::uint64_t>(epoch));
  for (std::int64_t at = 0; at < stream;) {
    std::int64_t length = steps;
    if (c.training.variable_steps) {
      const double mean = static_cast<double>(steps) * (rng.uniform() < 0.95 ? 1 : 0.5);
      const double drawn = mean + 5 * rng.normal({1}, 0, 1, Dtype::f64).at(0);
      length = std::clamp<std::int64_t>(std::llround(drawn), 5, steps + 20);
    }
    length = std::min(length, stream - at);
    out.push_back(length);
    at += length;
  }
  return out;
}

std::int64_t groups(std::int64_t batches, std::int64_t size) {
  return (batches + size - 1) / size;
}

std::int64_t updates_in_all(const RunConfig& c, std::int64_t stream) {
  if (*c.training.updates > 0) return *c.training.updates;
  std::int64_t out = 0;
  for (std::int64_t epoch = 0; epoch < *c.training.epochs; ++epoch) {
    if (epoch > 0 && !c.training.variable_steps) return out * *c.training.epochs;
    out += groups(std::ssize(lengths_of(c, stream, epoch)), c.training.accumulate);
  }
  return out;
}

optim::Schedule schedule_of(const RunConfig& c, std::int64_t steps) {
  const double lr = c.optimizer.options.at("lr");
  const std::int64_t warmup = std::min(*c.schedule.warmup, steps / 2);
  const std::string& name = c.schedule.name;
  if (name == "cosine")
    return optim::CosineSchedule{
        .lr = lr, .steps = steps, .minimum = lr * c.schedule.final, .warmup = warmup};
  if (name == "one-cycle") return optim::OneCycleSchedule{.lr = lr, .steps = steps};
  if (name == "inverse-sqrt")
    return optim::InverseSqrtSchedule{.lr = lr, .warmup = std::max<std::int64_t>(warmup, 1)};
  optim::Schedule then = optim::ConstantSchedule{.lr = lr};
  if (name == "linear") {
    then = optim::PolynomialSchedule{.lr = lr,
                                     .steps = std::max<std::int64_t>(steps - warmup, 1),
                                     .power = 1,
                                     .minimum = lr * c.schedule.final};
  }
  if (warmup > 0) return optim::WarmupSchedule{.steps = warmup, .then = then};
  return then;
}

/// "embed" of "embed.weight", "h.0" of "h.0.attn.c_attn.weight", "recurrent.l1" of "recurrent.weight_hh_l1".
std::string part_name(const std::string& path) {
  const std::size_t point = path.find('.');
  std::string out = path.substr(0, point);
  if (point == path.npos) return out;
  const std::size_t next = path.find('.', point + 1), layer = path.rfind("_l");
  const std::string second = path.substr(point + 1, next == path.npos ? path.npos : next - point - 1);
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  if (is_number(second)) return out + "." + second;
  if (layer != path.npos && is_number(std::string_view(path).substr(layer + 2)))
    out += "." + path.substr(layer + 1);
  return out;
}

}  // namespace

Trainer::Trainer(ErasedNetwork& network, std::span<const std::int32_t> train,
                 std::span<const std::int32_t> valid, const RunConfig& config, RunRanks* ranks)
    : network_(network),
      parameters_(network.parameter_view()),
      train_(train),
      valid_(valid),
      config_(config),
      ranks_(ranks),
      pieces_(config.training.pieces.value_or(1)),
      own_pieces_(pieces_),
      streams_(train, {.batch = *config.training.batch, .steps = *config.training.steps},
               "the text to train on"),
      optimizer_(optimizer_settings(config), parameters_),
      plateau_({.lr = 1,  // what the rate is multiplied by
                .factor = config.schedule.factor,
                .patience = config.schedule.patience,
                .threshold = 0}),
      stopping_({.patience = config.training.patience > 0 ? config.training.patience : never}),
      trigger_(config.training.average_patience),
      steps_(updates_in_all(config, streams_.stream())) {
  if (valid.size() == 1) fail<DataError>("the validation text has a single token; give a longer one");
  if (!valid.empty()) static_cast<void>(valid_batches());  // which throws now, and not after hours
  if (*config.training.batch % pieces_ != 0)
    fail<ArgumentError>("training.batch {} cannot be cut into {} pieces of as many streams",
                        *config.training.batch, pieces_);
  if (ranks_ != nullptr) {
    if (pieces_ % ranks_->size() != 0)
      fail<ArgumentError>("{} processes cannot share training.pieces {} evenly; start a divisor of it",
                          ranks_->size(), pieces_);
    own_pieces_ = pieces_ / ranks_->size();
    first_piece_ = own_pieces_ * ranks_->rank();
    if (shards()) owner_ = optim::owners_of(parameters_, ranks_->size());
    ranks_->sum_over(parameters_, 1.0 / static_cast<double>(pieces_), owner_);
  }
  at_.rng = Rng(config.training.seed);
  at_.contexts = at_.rng.fork(for_contexts);
  if (config.training.average == "exponential")
    average_ = optim::WeightAverage({.decay = config.training.average_decay});
  schedule_ = schedule_of(config, steps_);
  begin_epoch();
  epoch_steps_ = groups(std::ssize(*at_.lengths), config.training.accumulate);
}

void Trainer::begin_epoch() {
  at_.lengths =
      std::make_shared<const std::vector<std::int64_t>>(lengths_of(config_, streams_.stream(), at_.epoch));
  at_.batch = 0;
  at_.place = 0;
  const std::int64_t width = *config_.training.batch / pieces_;
  at_.carried.assign(static_cast<std::size_t>(own_pieces_), std::any());
  for (std::any& state : at_.carried) state = network_.start(width);
  if (keeps_all_carried()) {
    at_.all_carried = std::make_shared<std::vector<std::string>>(static_cast<std::size_t>(pieces_),
                                                                 carried_bytes(at_.carried.front()));
  }
}

Batch Trainer::next_batch() {
  const std::int64_t steps = (*at_.lengths)[at_.batch++];
  const std::int64_t first = std::exchange(at_.place, at_.place + steps);
  if (config_.training.contexts == "random")
    return random_batch(train_, {.batch = *config_.training.batch, .steps = steps}, at_.contexts);
  return streams_.part(first, steps);
}

/// Of a batch of fewer steps than usual the rate is as much lower, as of AWD-LSTM.
double Trainer::rate(std::int64_t steps_of_batch) const {
  double lr = schedule_(step_);
  if (config_.schedule.name == "plateau") lr *= plateau_.lr();
  if (config_.training.variable_steps)
    lr *= static_cast<double>(steps_of_batch) / static_cast<double>(*config_.training.steps);
  return lr;
}

bool Trainer::averages() const {
  const std::string& name = config_.training.average;
  return name == "exponential" || name == "mean" || (name == "triggered" && trigger_.triggered());
}

Update Trainer::update(const UpdateOptions& options) {
  const Position before = at_;
  Update out;
  try {
    make_update(options, out);
  } catch (...) {
    at_ = before;
    throw;
  }
  return out;
}

void Trainer::make_update(const UpdateOptions& options, Update& out) {
  if (at_.batch == at_.lengths->size()) {
    ++at_.epoch;
    begin_epoch();
  }
  const std::size_t count =
      std::min(static_cast<std::size_t>(config_.training.accumulate), at_.lengths->size() - at_.batch);
  out.number = step_ + 1;
  out.lr = rate((*at_.lengths)[at_.batch]);
  std::vector<Batch> batches;
  for (std::size_t i = 0; i < count; ++i) {
    batches.push_back(next_batch());
    out.tokens += batches.back().x.size();
  }
  const Gradients sum = gradient(batches, options, out);
  optimizer_.set_lr(out.lr);
  // Where gradients are shared out, all processes are needed for those that one asks for.
  if (shards() ? out.asks_part_norms : options.part_norms) out.part_norms = part_norms(sum);
  try {
    out.gradient_norm = step(sum);
  } catch (const NumericError& error) {
    detail::fail_not_finite(step_ + 1, out.loss, error.what());
  }
  if (averages()) {
    average_.update(parameters_);
    averaged_ = true;
  }
  ++step_;
  tokens_ += out.tokens;
}

void Trainer::explain(const Batch& batch, const std::any& before, Rng rng, double loss) const {
  try {
    const Tape watched({.check_finite = true});
    const nn::LoraDropout of_adapters(&rng);
    static_cast<void>(network_.loss(batch, before, &rng));
  } catch (const NumericError& error) {
    detail::fail_not_finite(step_ + 1, loss, error.what());
  }
  detail::fail_not_finite(step_ + 1, loss, "no op; the weights have grown beyond use");
}

std::map<std::string, double> Trainer::part_norms(const Gradients& gradients) const {
  const auto square = [](const Gradient& gradient) {
    return gradus::sum(gradient.values() * gradient.values()).to(Dtype::f64).item();
  };
  std::map<Place, double> of_parameters;
  if (shards()) {
    for (const auto& [place, found] : ranks_->of_each(gradients, square)) of_parameters[place] = found;
  } else {
    for (const Gradient& gradient : gradients.entries()) of_parameters[gradient.of] = square(gradient);
  }
  std::map<std::string, double> out;
  for (const auto& [path, parameter] : parameters_.parts()) {
    const auto found = of_parameters.find(parameter->place());
    if (found != of_parameters.end()) out[part_name(path)] += found->second;
  }
  for (auto& [part, squares] : out) squares = std::sqrt(squares);
  return out;
}

/// A few streams, or one for each piece where that is more.
Batches Trainer::valid_batches() const {
  const std::int64_t steps = *config_.training.steps;
  const std::int64_t streams = std::clamp<std::int64_t>(std::ssize(valid_) / (4 * steps), 1, valid_streams);
  return {
      valid_, {.batch = (streams + pieces_ - 1) / pieces_ * pieces_, .steps = steps}, "the validation text"};
}

double Trainer::validation_loss() {
  const PauseRecording pause;
  const Batches all = valid_batches();
  std::vector<double> sums;
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < own_pieces_; ++k)
    sums.push_back(piece_validation_loss(all, first_piece_ + k, count));
  if (!alone()) {
    const std::string own(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(double));
    std::string of_all;
    for (const std::string& came : ranks_->gather_texts(own)) of_all += came;
    sums.resize(of_all.size() / sizeof(double));
    std::memcpy(sums.data(), of_all.data(), of_all.size());
    count *= ranks_->size();
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total / static_cast<double>(count);
}

Validation Trainer::validate() {
  if (valid_.empty()) fail<ArgumentError>("there is no validation text");
  if (averaged_) average_.swap(parameters_);
  Validation out;
  try {
    out.loss = validation_loss();
  } catch (...) {
    if (averaged_) average_.swap(parameters_);
    throw;
  }
  if (averaged_) average_.swap(parameters_);
  trigger_.report(out.loss);
  plateau_.report(out.loss);
  out.best = stopping_.report(out.loss);
  out.stopped = stopping_.stopped();
  return out;
}

std::unique_ptr<ErasedNetwork> Trainer::kept() {
  if (averaged_) average_.swap(parameters_);
  std::unique_ptr<ErasedNetwork> out = network_.copy();
  if (averaged_) average_.swap(parameters_);
  out->merge_lora();
  return out;
}

optim::RunState Trainer::state() const {
  optim::RunState out;
  out.put("weights", network_.weights());
  out.put("optimizer", optimizer_state());
  if (shards() && !ranks_->leads())
    fail<ArgumentError>(
        "the optimizer's state is shared out, and only rank 0 gets all of it; call give_state() here");
  out.put("average", averaged_ ? average_.state(parameters_) : Safetensors());
  out.put("averaged", averaged_);
  out.put("plateau", plateau_.state());
  out.put("stopping", stopping_.state());
  out.put("trigger", trigger_.losses());
  out.put("rng", at_.rng.state());
  out.put("contexts", at_.contexts.state());
  out.put("carried", carried_tensors());
  out.put("step", step_);
  out.put("epoch", at_.epoch);
  out.put("batch", static_cast<std::int64_t>(at_.batch));
  out.put("pieces", pieces_);
  out.put("tokens", tokens_);
  return out;
}

void Trainer::set_state(const optim::RunState& from) {
  const std::int64_t pieces = from.contains("pieces") ? from.get<std::int64_t>("pieces") : 1;
  if (pieces != pieces_)
    fail<DataError>("the checkpoint is of training.pieces {}, which cannot become {} in a run", pieces,
                    pieces_);
  network_.set_weights(from.tensors("weights"), "the checkpoint's weights");
  Safetensors of_optimizer = from.tensors("optimizer");
  for (std::size_t i = 0; i < owner_.size(); ++i) {
    if (owner_[i] == ranks_->rank()) continue;
    const std::string prefix = parameters_.parts()[i].first + ".";
    std::erase_if(of_optimizer.tensors, [&](const auto& one) {
      return one.first.starts_with(prefix) && one.first.find('.', prefix.size()) == std::string::npos;
    });
  }
  optimizer_.set_state(parameters_, of_optimizer);
  averaged_ = from.get<bool>("averaged");
  if (averaged_) average_.set_state(parameters_, from.tensors("average"));
  plateau_.set_state(from.get<optim::PlateauSchedule::State>("plateau"));
  stopping_.set_state(from.get<optim::EarlyStopping::State>("stopping"));
  trigger_.set_losses(from.numbers("trigger"));
  at_.rng = Rng(from.get<Rng::State>("rng"));
  at_.contexts = Rng(from.get<Rng::State>("contexts"));
  step_ = from.get<std::int64_t>("step");
  at_.epoch = from.get<std::int64_t>("epoch");
  tokens_ = from.get<std::int64_t>("tokens");
  const auto batch = from.get<std::int64_t>("batch");
  begin_epoch();
  if (step_ < 0 || step_ > steps_ || at_.epoch < 0 || batch < 0 || batch > std::ssize(*at_.lengths))
    fail<DataError>("the checkpoint is at a place that the text does not have; was it made of another text?");
  at_.batch = static_cast<std::size_t>(batch);
  for (std::size_t i = 0; i < at_.batch; ++i) at_.place += (*at_.lengths)[i];
  set_carried(from.tensors("carried"));
}

}  // namespace gradus::models
