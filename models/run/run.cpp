#include "models/run/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>
#include <thread>

#include "models/checkpoint.hpp"
#include "models/run/defaults.hpp"
#include "models/run/extend.hpp"
#include "models/run/folder.hpp"
#include "models/run/metrics.hpp"
#include "models/run/trainer.hpp"
#include "tensor/kernels/bf16.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/support/version.hpp"
#include "text/byte_source.hpp"

namespace gradus::models {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The mean loss since the last line of the log.
struct Window {
  double loss = 0;
  std::int64_t tokens = 0;
  double seconds = 0;

  static void fields(auto& self, auto&& visit) {
    visit("loss", self.loss);
    visit("tokens", self.tokens);
    visit("seconds", self.seconds);
  }
};

std::string absolute_path(const std::string& path) {
  if (path.empty() || is_standard_input(path)) return path;
  return std::filesystem::absolute(path).lexically_normal().string();
}

/// A trained network and its vocabulary, where start.from names one; else nothing.
std::optional<LoadedNetwork> start_of(const RunConfig& config) {
  if (config.start.from.empty()) return std::nullopt;
  return load_network(config.start.from);
}

/// The network that the configuration asks for, or the one that is begun with.
std::unique_ptr<ErasedNetwork> make_network(const RunConfig& config, const Vocabulary& vocabulary,
                                            const std::optional<LoadedNetwork>& from) {
  const NetworkKind& kind = *find_network_kind(config.model.kind);
  Rng rng(config.training.seed);
  std::unique_ptr<ErasedNetwork> out = kind.make(rng, network_options(config, vocabulary));
  if (from && config.start.extend) {
    out->set_weights(extended_weights(*from->network, *out, vocabulary.unknown()), config.start.from);
  } else if (from) {
    out->set_weights(from->network->weights(), config.start.from);
  }
  if (config.training.precision == "f64") out->convert(Dtype::f64);
  if (config.start.lora_rank > 0) {
    Rng of_adapters = rng.fork(1);
    out->add_lora(of_adapters, config.start.lora_layers,
                  {.rank = config.start.lora_rank,
                   .alpha = config.start.lora_alpha,
                   .dropout = config.start.lora_dropout});
  }
  if (!config.start.freeze.empty()) out->freeze(config.start.freeze);
  return out;
}

/// The tokens of the model that is begun with, and those of the text where it is to be extended.
Vocabulary begun_vocabulary(const RunConfig& config, const LoadedNetwork& from, const SubwordReport& report) {
  const Vocabulary& own = from.vocabulary;
  if (own.size() != from.network->options().vocab) {
    fail<DataError>("{}: the model has {} tokens and its tokenizer {}; such a model cannot be gone on with",
                    config.start.from, from.network->options().vocab, own.size());
  }
  if (!config.start.extend) return own;
  if (own.unit() == Unit::subword || own.unit() == Unit::byte)
    fail<ArgumentError>("start.extend: any text can be made of the {}s of {}; leave it out",
                        name_of(own.unit()), config.start.from);
  if (is_standard_input(config.data.text))
    fail<ArgumentError>("start.extend reads the text twice, which standard input cannot be; give a file");
  RunConfig::Data data = config.data;
  data.unit = name_of(own.unit());
  return own.extended_by(read_run_text(data, {}, report).vocabulary);
}

/// All that training begins with. `vocabulary`: of a run that is resumed; `begins`: whether the weights of
/// the model that is started from are wanted.
PreparedRun prepared(const RunConfig& given, bool begins, std::optional<Vocabulary> vocabulary,
                     const SubwordReport& report) {
  PreparedRun out{given, {}, {}};
  // So that they are found from wherever the run is resumed.
  out.config.data.text = absolute_path(given.data.text);
  out.config.data.valid = absolute_path(given.data.valid);
  out.config.start.from = absolute_path(given.start.from);
  std::optional<LoadedNetwork> from;
  if (begins) from = start_of(given);
  if (from) {
    take_model(out.config, from->network->kind(), from->network->options(), from->vocabulary);
    const Unit unit = from->vocabulary.unit();
    out.config.data.unit = unit == Unit::subword ? "bpe" : name_of(unit);
    if (!vocabulary) vocabulary = begun_vocabulary(out.config, *from, report);
  }
  out.text = read_run_text(out.config.data, vocabulary, report);
  require_batch(out.text.train, out.text.vocabulary.unit(), out.config.data.text);
  const NetworkKind* const kind = find_network_kind(out.config.model.kind);
  if (kind == nullptr)
    fail<ArgumentError>("{} is no network, which alone is trained in steps", out.config.model.kind);
  out.config = resolved(out.config, *kind, out.text.vocabulary, std::ssize(out.text.train.tokens));
  out.network = make_network(out.config, out.text.vocabulary, from);
  return out;
}

[[noreturn]] void fail_lost(const RankLost& lost, const std::string& more) {
  throw RankLost(lost.rank(), lost.what() + more);
}

/// Which process is slow: the times of about the last hundred updates, compared with the middle one.
class SlowRanks {
 public:
  /// The rank of one that should be named now; -1: none. It is named after 100 updates, and then after twice
  /// as many each time.
  int add(const std::vector<double>& seconds) {
    if (seconds.size() < 2) return -1;
    smoothed_.resize(seconds.size(), 0);
    for (std::size_t r = 0; r < seconds.size(); ++r) smoothed_[r] += (seconds[r] - smoothed_[r]) / 100;
    if (++updates_ < next_) return -1;
    std::vector<double> others = smoothed_;
    const auto slowest = std::ranges::max_element(smoothed_) - smoothed_.begin();
    others.erase(others.begin() + slowest);
    std::ranges::nth_element(others, others.begin() + std::ssize(others) / 2);
    ratio_ = smoothed_[static_cast<std::size_t>(slowest)] / others[others.size() / 2];
    if (!(ratio_ > 1.5)) return -1;
    next_ = 2 * updates_;
    return static_cast<int>(slowest);
  }
  double ratio() const { return ratio_; }

 private:
  std::vector<double> smoothed_;
  std::int64_t updates_ = 0, next_ = 100;
  double ratio_ = 1;
};

/// A run from its beginning or its last checkpoint to its end.
class TrainingRun {
 public:
  TrainingRun(const RunConfig& config, const RunOptions& options);
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;
  ~TrainingRun() {
    if (options_.ranks != nullptr) options_.ranks->set_notice({});
  }
  RunResult run();

 private:
  void prepare(const RunConfig& given);
  void decide_intervals();
  void resume();
  bool step();
  void log(const Update& update);
  void evaluate();
  void save();
  void save_model();
  void write_model();
  void say(const std::string& line);
  void warn(const std::string& line);
  void note_end();
  bool has_model() const;
  RunResult result();
  bool leads() const { return options_.ranks == nullptr || options_.ranks->rank() == 0; }
  void require_alike() const;
  void watch_times(const Update& update);
  [[noreturn]] void save_without(const RankLost& lost);

  const RunOptions& options_;
  RunConfig config_;
  RunText text_;
  std::unique_ptr<ErasedNetwork> network_, best_;
  std::optional<RunFolder> folder_;
  std::optional<Trainer> trainer_;
  std::optional<MetricsFiles> metrics_;
  TrainProgress smoothed_;
  Window window_;
  RunProgress progress_;
  double seconds_before_ = 0;  // in the processes before this one
  Clock::time_point started_ = Clock::now(), saved_ = Clock::now();
  double evaluating_ = 0;           // seconds of this process
  std::int64_t tokens_before_ = 0;  // of those processes
  bool interrupted_ = false;
  bool evaluation_due_ = false;  // of the update that was made last
  SlowRanks slow_;
  bool saving_fails_ = false;   // whether the newest checkpoint could not be written
  bool model_unsaved_ = false;  // whether the best model could not
};

TrainingRun::TrainingRun(const RunConfig& config, const RunOptions& options) : options_(options) {
  if (options.resume) {
    folder_.emplace(leads() ? RunFolder::open(options.folder) : RunFolder::read(options.folder));
  } else if (!options.folder.empty() && leads()) {
    RunFolder::require_new(options.folder);
  }
  if (options.ranks != nullptr && options.ranks->rank() == options.ranks->saver())
    options.ranks->set_notice([this](const std::string& line) { warn(line); });
  RunConfig given = options.resume ? folder_->load_config() : config;
  if (options.overrides) options.overrides(given);
  if (!given.training.pieces && options.ranks != nullptr) given.training.pieces = options.ranks->size();
  prepare(given);
  started_ = saved_ = Clock::now();  // reading the text is no training
}

void TrainingRun::prepare(const RunConfig& given) {
  // A run that is resumed has its weights in its checkpoint, unless it was stopped before the first one.
  const bool begins = !options_.resume || !folder_->has_checkpoint();
  PreparedRun made =
      prepared(given, begins, options_.resume ? std::optional(folder_->load_vocabulary()) : std::nullopt,
               options_.subwords);
  config_ = std::move(made.config);
  text_ = std::move(made.text);
  network_ = std::move(made.network);
  trainer_.emplace(*network_, text_.train.tokens, text_.valid.tokens, config_, options_.ranks);
  decide_intervals();
  if (options_.resume) resume();
  if (options_.ranks != nullptr) require_alike();
  if (!leads()) folder_.reset();  // it was read
  if (options_.folder.empty() || !leads()) return;
  if (!folder_) {
    folder_.emplace(RunFolder::create(options_.folder));
    folder_->save_vocabulary(text_.vocabulary);
  }
  folder_->save_config(config_);
  metrics_.emplace(folder_->path(), trainer_->step(), [this](const std::string& line) { warn(line); });
}

/// Ten looks at the validation text, or one an epoch where that is more.
void TrainingRun::decide_intervals() {
  RunConfig::Training& t = config_.training;
  const std::int64_t steps = trainer_->steps(), epoch = trainer_->epoch_steps();
  if (!t.evaluate_every)
    t.evaluate_every = config_.schedule.name == "plateau" ? epoch : std::min(epoch, (steps + 9) / 10);
  if (!t.log_every) t.log_every = std::clamp<std::int64_t>(steps / 20, 1, 50);
}

void TrainingRun::resume() {
  const auto loaded = folder_->newest_checkpoint([this](const std::string& line) { warn(line); });
  if (!loaded) return say("the run was stopped before its first checkpoint, so it begins anew");
  const optim::RunState& state = loaded->state;
  if (state.get<std::uint64_t>("text") != text_.checksum()) {
    fail<DataError>(
        "{}: the run was made of another text than {} is now; give that text, or begin another run",
        folder_->path().string(), config_.data.text);
  }
  trainer_->set_state(state);
  evaluation_due_ = state.contains("evaluation_due") && state.get<bool>("evaluation_due");
  smoothed_.step = trainer_->step();
  smoothed_.loss = state.get<double>("smoothed");
  window_ = state.get<Window>("window");
  seconds_before_ = state.get<double>("seconds");
  tokens_before_ = trainer_->tokens();
  say(fmt::format("going on from {}, update {} of {}", loaded->file.string(), trainer_->step(),
                  trainer_->steps()));
}

/// Where two texts with a line for each setting differ: "training.seed = 2 where rank 0 has seed = 1".
std::string difference(const std::string& own, const std::string& other) {
  const auto setting = [](std::string line) {  // without what it is
    line.resize(std::min(line.find(" #"), line.size()));
    while (line.ends_with(' ')) line.pop_back();
    return line;
  };
  std::istringstream a(own), b(other);
  std::string section, x, y;
  while (std::getline(a, x)) {
    if (!std::getline(b, y)) y = "nothing more";
    if (x.starts_with('[') && x.ends_with(']')) section = x.substr(1, x.size() - 2) + ".";
    if (x != y) return fmt::format("{}{} where rank 0 has {}", section, setting(x), setting(y));
  }
  return "less than rank 0";
}

/// Processes of other programs, settings or texts would train different networks. Between instruction sets
/// the last bits differ, and from update to update more of them.
void TrainingRun::require_alike() const {
  RunConfig config = config_;
  config.data.text = config.data.valid = config.start.from = "";  // each machine may have them elsewhere
  const std::string own = fmt::format(
      "gradus {}\ninstructions {} {}\ntext {:016x}\nupdates made {}\n{}", version, kernels::instruction_set(),
      fmt::join(kernels::available_bf16(), " "), text_.checksum(), trainer_->step(), to_toml(config));
  const std::vector<std::string> all = options_.ranks->gather_texts(own);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    fail<DataError>("{} is not started like rank 0: it has {}; start all alike",
                    options_.ranks->name(static_cast<int>(r)), difference(all[r], all[0]));
  }
}

void TrainingRun::say(const std::string& line) {
  if (!leads()) return;
  if (folder_) folder_->log(line);
  if (options_.say) options_.say(line);
}

void TrainingRun::warn(const std::string& line) {
  if (!leads() && options_.ranks->lost() < 0) return;  // what one process takes over, it has to say
  if (folder_) folder_->log("warning: " + line);
  if (options_.warn) options_.warn(line);
}

/// A checkpoint that cannot be written is no reason to lose the run: the one before it stays, and the next is
/// tried. None says that a model is the best so far which could not be written: a run resumed from it would
/// keep a worse one.
void TrainingRun::save() {
  if (!folder_) {
    if (trainer_->shards()) trainer_->give_state();
    return;
  }
  if (model_unsaved_) write_model();
  optim::RunState state = trainer_->state();
  if (model_unsaved_) {
    saved_ = Clock::now();  // it is tried again when the next checkpoint is due
    return;
  }
  state.put("text", text_.checksum());
  state.put("smoothed", smoothed_.loss);
  state.put("window", window_);
  state.put("seconds", seconds_before_ + seconds_since(started_));
  state.put("evaluation_due", evaluation_due_);
  try {
    folder_->save_checkpoint(state, trainer_->step(), config_.training.keep);
    saving_fails_ = false;
  } catch (const DataError& error) {
    saving_fails_ = true;
    warn(fmt::format("update {}: the checkpoint was not saved: {}; training goes on", trainer_->step(),
                     error.what()));
  }
  saved_ = Clock::now();
}

void TrainingRun::save_model() {
  best_ = trainer_->kept();
  if (folder_) write_model();
}

void TrainingRun::write_model() {
  try {
    save_network(folder_->model_file(), *best_, text_.vocabulary);
    model_unsaved_ = false;
  } catch (const DataError& error) {
    model_unsaved_ = true;
    warn(fmt::format("update {}: the best model was not saved: {}", trainer_->step(), error.what()));
  }
}

void TrainingRun::log(const Update& update) {
  window_.loss += update.loss * static_cast<double>(update.tokens);
  window_.tokens += update.tokens;
  if (update.number % *config_.training.log_every != 0 && !trainer_->done()) return;
  const double loss = window_.loss / static_cast<double>(window_.tokens);
  const double seconds = seconds_before_ + seconds_since(started_);
  MetricsLine line{
      update.number,
      {{"epoch", static_cast<double>(trainer_->epoch())},
       {"tokens", static_cast<double>(trainer_->tokens())},
       {"seconds", seconds},
       {"loss", loss},
       {"perplexity", std::exp(loss)},
       {"lr", update.lr},
       {"tokens_per_second", static_cast<double>(window_.tokens) / std::max(seconds - window_.seconds, 1e-9)},
       {"gradient_norm", update.gradient_norm}}};
  for (const auto& [part, norm] : update.part_norms) line.numbers.emplace_back("gradient_norm/" + part, norm);
  if (metrics_) metrics_->add(line);
  window_ = {0, 0, seconds};
}

void TrainingRun::evaluate() {
  const Clock::time_point begun = Clock::now();
  if (!trainer_->validates()) {
    evaluation_due_ = false;
    return save_model();
  }
  const Validation seen = trainer_->validate();
  progress_.valid_loss = seen.loss;
  if (metrics_) {
    metrics_->add({trainer_->step(),
                   {{"valid_loss", seen.loss},
                    {"valid_perplexity", std::exp(seen.loss)},
                    {"best", seen.best ? 1 : 0}}});
  }
  if (seen.best) save_model();
  say(fmt::format("update {} of {}: perplexity {:.2f} in training, {:.2f} on the validation text{}",
                  trainer_->step(), trainer_->steps(), std::exp(smoothed_.loss), std::exp(seen.loss),
                  seen.best ? ", the best so far" : ""));
  evaluation_due_ = false;
  evaluating_ += seconds_since(begun);
}

/// One update and what is due after it. False once the run is over.
bool TrainingRun::step() {
  const std::int64_t next = trainer_->step() + 1;
  const bool logs = metrics_ && (next % *config_.training.log_every == 0 || next == trainer_->steps());
  const std::int64_t every = config_.training.save_every;
  const bool by_time = leads() && every == 0 && seconds_since(saved_) >= config_.training.save_seconds;
  const Update update =
      trainer_->update({.part_norms = logs,
                        .stop = options_.ranks != nullptr && options_.stop && options_.stop(),
                        .save = by_time && folder_});
  interrupted_ = update.stop;
  smoothed_.add(update.tokens, update.loss);
  log(update);
  evaluation_due_ = update.number % *config_.training.evaluate_every == 0 || trainer_->done();
  if (evaluation_due_) evaluate();
  progress_.step = update.number;
  progress_.steps = trainer_->steps();
  progress_.tokens = trainer_->tokens();
  progress_.loss = smoothed_.loss;
  progress_.tokens_per_second = static_cast<double>(trainer_->tokens() - tokens_before_) /
                                std::max(seconds_since(started_) - evaluating_, 1e-9);
  if (options_.progress && leads()) options_.progress(progress_);
  if (options_.ranks == nullptr && options_.stop && options_.stop()) interrupted_ = true;
  const bool by_count = every > 0 && update.number % every == 0;
  if (trainer_->done() || interrupted_ || by_count || update.save) save();
  if (leads()) watch_times(update);
  return !trainer_->done() && !interrupted_;
}

/// Says, once in a while, which process the others wait for.
void TrainingRun::watch_times(const Update& update) {
  const int rank = slow_.add(update.seconds);
  if (rank >= 0)
    warn(fmt::format("update {}: {} takes {:.1f} times as long as the others, who wait for it", update.number,
                     options_.ranks->name(rank), slow_.ratio()));
}

/// The lock of a process that is gone is free a little after its connections are.
RunFolder open_soon(const std::filesystem::path& folder) {
  for (int tries = 0; tries < 50; ++tries) {
    try {
      return RunFolder::open(folder);
    } catch (const DataError&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  return RunFolder::open(folder);
}

/// Saves what there is when a process is gone, which holds all but what it alone had. It is done by one of
/// the others; where they share out the optimizer's state, a part of it is gone too.
void TrainingRun::save_without(const RankLost& lost) {
  RunRanks& ranks = *options_.ranks;
  if (options_.folder.empty()) fail_lost(lost, "; nothing was to be kept but the model at the end");
  const std::string folder = options_.folder.string();
  if (trainer_->shards() || trainer_->torn())
    fail_lost(
        lost,
        fmt::format("; a part of the state went with it, so go on from the last checkpoint by: gradus train "
                    "--resume {}",
                    folder));
  if (ranks.rank() != ranks.saver()) fail_lost(lost, "");
  if (!RunFolder::is_run(options_.folder))
    fail_lost(lost, "; there is no run yet in " + folder + ", or not from here");
  try {
    if (!folder_) folder_.emplace(open_soon(options_.folder));
    if (!leads() && best_) write_model();  // which rank 0 may not have come to
    save();
  } catch (const Error& error) {
    fail_lost(lost, fmt::format("; it could not be saved: {}", error.what()));
  }
  if (saving_fails_ || model_unsaved_)
    fail_lost(lost, fmt::format("; go on from the last checkpoint by: gradus train --resume {}", folder));
  folder_->log(fmt::format("{}; saved after update {}", lost.what(), trainer_->step()));
  fail_lost(lost, fmt::format("; saved after update {} of {}; go on by: gradus train --resume {}",
                              trainer_->step(), trainer_->steps(), folder));
}

RunResult TrainingRun::run() {
  if (!options_.resume) save();  // so that what is wrong with the disk is known at once
  if (saving_fails_)
    fail<DataError>("{}: nothing can be saved there; free some space, and begin again",
                    folder_->path().string());
  try {
    if (evaluation_due_) evaluate();  // it was broken off
    while (!trainer_->done() && step()) {
    }
  } catch (const RankLost& lost) {
    save_without(lost);
  } catch (const NumericError& error) {
    if (!folder_) throw;
    const auto kept = fmt::format(
        "{}; the checkpoints in {} are from before: go on by --resume with a lower rate, "
        "such as --set optimizer.lr={:.3g}",
        error.what(), folder_->path().string(), config_.optimizer.options.at("lr") / 2);
    folder_->log(kept);
    fail<NumericError>("{}", kept);
  }
  const ParameterView weights = network_->parameter_view();
  detail::check_weights(weights, trainer_->step(), smoothed_.loss);
  note_end();
  if (saving_fails_ || model_unsaved_)
    fail<DataError>(
        "{}: the last state of the run could not be saved; free some space, and go on from the one before by "
        "--resume {}",
        folder_->path().string(), folder_->path().string());
  return result();
}

/// Whether there is a best model yet, of this process or of one before it.
bool TrainingRun::has_model() const {
  std::error_code none;
  return best_ || (folder_ && std::filesystem::exists(folder_->model_file(), none));
}

void TrainingRun::note_end() {
  if (interrupted_ && !trainer_->done()) {
    say(folder_ ? fmt::format("stopped after update {} of {}; go on by: gradus train --resume {}",
                              trainer_->step(), trainer_->steps(), folder_->path().string())
                : fmt::format("stopped after update {} of {}", trainer_->step(), trainer_->steps()));
    // What is kept is the best by the validation text; without a figure of it, the last.
    if (!has_model() || !trainer_->validates() || !std::isfinite(trainer_->best_loss())) save_model();
  } else if (trainer_->step() < trainer_->steps()) {
    say(fmt::format(
        "ended after update {}, as the validation text was predicted no better for {} evaluations",
        trainer_->step(), config_.training.patience));
  }
}

RunResult TrainingRun::result() {
  RunResult out;
  // It may have been found by a process before this one.
  if (!best_ && has_model()) best_ = load_network(folder_->model_file()).network;
  if (!best_) best_ = trainer_->kept();
  out.network = std::move(best_);
  progress_.step = trainer_->step();
  progress_.steps = trainer_->steps();
  progress_.tokens = trainer_->tokens();
  progress_.loss = smoothed_.loss;
  out.progress = progress_;
  out.train_tokens = std::ssize(text_.train.tokens);
  out.unknown = text_.train.unknown;
  out.valid_tokens = std::ssize(text_.valid.tokens);
  out.valid_unknown = text_.valid.unknown;
  out.seconds = seconds_before_ + seconds_since(started_);
  if (trainer_->validates() && std::isfinite(trainer_->best_loss())) out.best_loss = trainer_->best_loss();
  out.interrupted = interrupted_ && !trainer_->done();
  out.stopped_early = trainer_->done() && trainer_->step() < trainer_->steps();
  out.vocabulary = std::move(text_.vocabulary);
  out.config = std::move(config_);
  return out;
}

}  // namespace

PreparedRun prepare_run(const RunConfig& config) {
  return prepared(config, true, {}, {});
}

RunResult train_run(const RunConfig& config, const RunOptions& options) {
  return TrainingRun(config, options).run();
}

}  // namespace gradus::models
