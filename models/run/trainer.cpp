#include "models/run/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/tape.hpp"
#include "nn/lora_adapter.hpp"
#include "tensor/matmul_precision.hpp"
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

MatmulPrecision precision_of(const RunConfig& c) {
  const std::string& name = c.training.matmul_precision;
  return name == "medium" ? MatmulPrecision::medium
         : name == "high" ? MatmulPrecision::high
                          : MatmulPrecision::exact;
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
                 std::span<const std::int32_t> valid, const RunConfig& config)
    : network_(network),
      parameters_(network.parameter_view()),
      train_(train),
      valid_(valid),
      config_(config),
      streams_(train, {.batch = *config.training.batch, .steps = *config.training.steps},
               "the text to train on"),
      optimizer_(optimizer_settings(config), parameters_),
      plateau_({.lr = 1,  // what the rate is multiplied by
                .factor = config.schedule.factor,
                .patience = config.schedule.patience,
                .threshold = 0}),
      stopping_({.patience = config.training.patience > 0 ? config.training.patience : never}),
      trigger_(config.training.average_patience),
      rng_(config.training.seed),
      contexts_(Rng(config.training.seed).fork(for_contexts)),
      steps_(updates_in_all(config, streams_.stream())) {
  if (valid.size() == 1) fail<DataError>("the validation text has a single token; give a longer one");
  if (config.training.average == "exponential")
    average_ = optim::WeightAverage({.decay = config.training.average_decay});
  schedule_ = schedule_of(config, steps_);
  begin_epoch();
  epoch_steps_ = groups(std::ssize(lengths_), config.training.accumulate);
}

void Trainer::begin_epoch() {
  lengths_ = lengths_of(config_, streams_.stream(), epoch_);
  batch_ = 0;
  place_ = 0;
  carried_ = network_.start(*config_.training.batch);
}

Batch Trainer::next_batch() {
  const std::int64_t steps = lengths_[batch_++];
  const std::int64_t first = std::exchange(place_, place_ + steps);
  if (config_.training.contexts == "random")
    return random_batch(train_, {.batch = *config_.training.batch, .steps = steps}, contexts_);
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

Update Trainer::update(bool with_part_norms) {
  if (batch_ == lengths_.size()) {
    ++epoch_;
    begin_epoch();
  }
  const std::size_t count =
      std::min(static_cast<std::size_t>(config_.training.accumulate), lengths_.size() - batch_);
  Update out;
  out.number = step_ + 1;
  const std::int64_t steps_here = lengths_[batch_];
  for (std::size_t i = 0; i < count; ++i) out.tokens += *config_.training.batch * lengths_[batch_ + i];
  Gradients sum;
  for (std::size_t i = 0; i < count; ++i) {
    const Batch batch = next_batch();
    const double share = static_cast<double>(batch.x.size()) / static_cast<double>(out.tokens);
    const Rng before = rng_;
    const MatmulPrecisionScope precision(precision_of(config_));
    Tape tape;
    const nn::LoraDropout of_adapters(&rng_);
    ErasedLoss of = network_.loss(batch, carried_, &rng_,
                                  {config_.training.activation_penalty, config_.training.change_penalty});
    const double loss = of.mean.item();
    if (!detail::is_usable(loss)) explain(batch, carried_, before, loss);
    out.loss += loss * share;
    Gradients gradients = tape.backward(of.penalty.value().defined() ? of.mean + of.penalty : of.mean);
    if (count > 1) gradients *= share;
    if (i == 0) {
      sum = std::move(gradients);
    } else {
      sum += gradients;
    }
    if (network_.carries_state()) carried_ = std::move(of.next);
  }
  out.lr = rate(steps_here);
  optimizer_.set_lr(out.lr);
  optim::StepOptions how;
  if (config_.training.clip > 0) how.clip_norm = config_.training.clip;
  if (with_part_norms) out.part_norms = part_norms(sum);
  try {
    out.gradient_norm = optimizer_.step(parameters_, sum, how);
  } catch (const NumericError& error) {
    detail::fail_not_finite(step_ + 1, out.loss, error.what());
  }
  if (averages()) {
    average_.update(parameters_);
    averaged_ = true;
  }
  ++step_;
  tokens_ += out.tokens;
  return out;
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
  std::map<std::string, double> squares;
  for (const auto& [path, parameter] : parameters_.parts()) {
    const Gradient* const gradient = gradients.find(parameter->place());
    if (gradient == nullptr) continue;
    const Tensor values = gradient->is_sparse() ? gradient->rows.values : gradient->values();
    squares[part_name(path)] += sum(values * values).to(Dtype::f64).item();
  }
  for (auto& [part, square] : squares) square = std::sqrt(square);
  return squares;
}

double Trainer::validation_loss() {
  const PauseRecording pause;
  const std::int64_t steps = *config_.training.steps;
  const std::int64_t streams = std::clamp<std::int64_t>(std::ssize(valid_) / (4 * steps), 1, valid_streams);
  const Batches all(valid_, {.batch = streams, .steps = steps}, "the validation text");
  std::any state = network_.start(streams);
  double total = 0;
  std::int64_t count = 0;
  for (const Batch& batch : all) {
    ErasedLoss of = network_.loss(batch, state, nullptr);
    total += of.mean.item() * static_cast<double>(batch.x.size());
    count += batch.x.size();
    if (network_.carries_state()) state = std::move(of.next);
  }
  return total / static_cast<double>(count);
}

Validation Trainer::validate() {
  if (valid_.empty()) fail<ArgumentError>("there is no validation text");
  if (averaged_) average_.swap(parameters_);
  Validation out{.loss = validation_loss()};
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
  out.put("optimizer", optimizer_.state(parameters_));
  out.put("average", averaged_ ? average_.state(parameters_) : Safetensors());
  out.put("averaged", averaged_);
  out.put("plateau", plateau_.state());
  out.put("stopping", stopping_.state());
  out.put("trigger", trigger_.losses());
  out.put("rng", rng_.state());
  out.put("contexts", contexts_.state());
  out.put("carried", network_.carries_state() ? network_.state_tensors(carried_) : Safetensors());
  out.put("step", step_);
  out.put("epoch", epoch_);
  out.put("batch", static_cast<std::int64_t>(batch_));
  out.put("tokens", tokens_);
  return out;
}

void Trainer::set_state(const optim::RunState& from) {
  network_.set_weights(from.tensors("weights"), "the checkpoint's weights");
  optimizer_.set_state(parameters_, from.tensors("optimizer"));
  averaged_ = from.get<bool>("averaged");
  if (averaged_) average_.set_state(parameters_, from.tensors("average"));
  plateau_.set_state(from.get<optim::PlateauSchedule::State>("plateau"));
  stopping_.set_state(from.get<optim::EarlyStopping::State>("stopping"));
  trigger_.set_losses(from.numbers("trigger"));
  rng_ = Rng(from.get<Rng::State>("rng"));
  contexts_ = Rng(from.get<Rng::State>("contexts"));
  step_ = from.get<std::int64_t>("step");
  epoch_ = from.get<std::int64_t>("epoch");
  tokens_ = from.get<std::int64_t>("tokens");
  const auto batch = from.get<std::int64_t>("batch");
  begin_epoch();
  if (step_ < 0 || step_ > steps_ || epoch_ < 0 || batch < 0 || batch > std::ssize(lengths_))
    fail<DataError>("the checkpoint is at a place that the text does not have; was it made of another text?");
  batch_ = static_cast<std::size_t>(batch);
  for (std::size_t i = 0; i < batch_; ++i) place_ += lengths_[i];
  if (network_.carries_state())
    carried_ = network_.state_of(from.tensors("carried"), *config_.training.batch);
}

}  // namespace gradus::models
