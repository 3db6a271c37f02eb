#include <cmath>
#include <map>
#include <regex>
#include <set>
#include <tuple>

#include "autograd/ops/elementwise.hpp"
#include "autograd/tape.hpp"
#include "nn/linear.hpp"
#include "nn/losses.hpp"
#include "optim/average.hpp"
#include "optim/clip.hpp"
#include "optim/lbfgs.hpp"
#include "optim/schedule.hpp"
#include "tests/optim/every_rule.hpp"
#include "tests/optim/killed_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"

// Killed and gone on with to the bit: optimizers, schedules, averages, and what decides when to stop.

using namespace gradus;
using namespace gradus::optim;
using test::KilledCase;

namespace {

/// Parameters of both dtypes, one with row-sparse gradients.
struct Model {
  Parameter weight{Rng(1).normal({5, 3})}, bias{Rng(2).normal({5}, 0, 1, Dtype::f64)},
      table{Rng(3).normal({6, 3})};
  static void members(auto& self, auto&& visit) {
    visit("linear.weight", self.weight);
    visit("linear.bias", self.bias);
    visit("table", self.table);
  }
};

/// Noise with a pull to 0. The table has none in the first steps, then of two rows; every fifth step the bias
/// has none.
Gradients gradients_of(const Model& m, Rng& rng) {
  const auto noisy = [&](const Tensor& x) { return x * 0.1 + rng.normal(x.shape(), 0, 1, x.dtype()); };
  GradientList out{{m.weight.place(), noisy(m.weight.value()), {}}};
  if (rng.below(5) > 0) out.push_back({m.bias.place(), noisy(m.bias.value()), {}});
  if (rng.state().counter > 40) {
    const Indices ids({1, static_cast<std::int32_t>(2 + rng.below(4))});
    out.push_back({m.table.place(), {}, Rows{ids, noisy(index_select(m.table.value(), 0, ids)), 6}});
  }
  return Gradients(std::move(out));
}
/// A loss that falls and varies.
double loss_of(const Model& m, Rng& rng) {
  return sum(square(m.weight.value())).item() * rng.uniform();
}

template <class O>
struct OptimizerRun {
  O optimizer;
  Model model{};
  Rng rng{5};

  void step() { optimizer.step(model, gradients_of(model, rng)); }
  static void parts(auto& self, auto&& visit) {
    visit("model", self.model);
    visit("optimizer", self.optimizer);
    visit("rng", self.rng);
  }
};

/// Some parameters with rates, and momentum, of their own; noise in the gradients, and both kinds of
/// clipping.
struct GroupsRun {
  Sgd optimizer{{.lr = 0.1}};
  Model model{};
  Rng rng{5};

  GroupsRun() {
    optimizer.for_parameters({"table"}, [](auto& o) { o.momentum = 0.9; })
        .for_parameters({"*bias"}, [](auto& o) { o.lr *= 0.5; });
  }
  void step() {
    Gradients gradients = gradients_of(model, rng);
    add_noise(gradients, rng, 0.3);
    clip_value(gradients, 1.5);
    optimizer.step(model, gradients, {.clip_norm = 2});
  }
  static void parts(auto& self, auto&& visit) { OptimizerRun<Sgd>::parts(self, visit); }
};

/// On other data in each call, so that it never arrives.
struct LbfgsRun {
  Rng rng{6};
  nn::Linear model{rng, 4, 3};
  Lbfgs optimizer{{.iterations = 3, .history = 4}};

  void step() {
    const Tensor x = rng.normal({8, 4}), y = rng.normal({8, 3});
    optimizer.step(model, [&] {
      Tape tape;
      const Variable loss = nn::mse(tanh(model(Variable(x))), y);
      return std::pair(loss.item(), tape.backward(loss));
    });
  }
  static void parts(auto& self, auto&& visit) { OptimizerRun<Sgd>::parts(self, visit); }
};

/// Large enough for several threads.
struct WideRun {
  Rng rng{7};
  nn::Linear model{rng, 160, 160};
  AdamW optimizer{};

  void step() {
    Tape tape;
    const Tensor x = rng.normal({160, 160});
    optimizer.step(model, tape.backward(nn::mse(model(Variable(x)), sin(x))));
  }
  static void parts(auto& self, auto&& visit) { OptimizerRun<AdamW>::parts(self, visit); }
};

struct ScheduleRun {
  Schedule schedule;
  Sgd optimizer{{.momentum = 0.9}};
  Model model{};
  Rng rng{8};
  std::int64_t steps = 0;

  void step() {
    optimizer.set_lr(schedule(steps++));
    optimizer.step(model, gradients_of(model, rng));
  }
  static void parts(auto& self, auto&& visit) {
    OptimizerRun<Sgd>::parts(self, visit);
    visit("schedule", self.steps);
  }
};
struct PlateauRun {
  PlateauSchedule::Options options;
  PlateauSchedule schedule{options};
  Sgd optimizer{{.momentum = 0.9}};
  Model model{};
  Rng rng{9};

  void step() {
    optimizer.set_lr(schedule.lr());
    optimizer.step(model, gradients_of(model, rng));
    schedule.report(loss_of(model, rng));
  }
  static void parts(auto& self, auto&& visit) {
    OptimizerRun<Sgd>::parts(self, visit);
    visit("schedule", self.schedule);
  }
};

/// The average is what is evaluated. With a trigger it begins when the loss no longer falls, which is once.
struct AverageRun {
  WeightAverage::Options options;
  bool waits;
  WeightAverage average{options};
  NonMonotonicTrigger trigger{2};
  Sgd optimizer{{.lr = 0.05}};
  Model model{};
  Rng rng{10};
  double evaluated = 0;

  void step() {
    optimizer.step(model, gradients_of(model, rng));
    const std::size_t reports = trigger.losses().size();
    if (!trigger.report((reports == 4 ? 4.0 : 1.0) / static_cast<double>(reports + 1)) && waits) return;
    average.update(model);
    average.swap(model);
    evaluated = loss_of(model, rng);
    average.swap(model);
  }
  static void parts(auto& self, auto&& visit) {
    OptimizerRun<Sgd>::parts(self, visit);
    visit("average", self.average);
    visit("trigger", self.trigger);
    visit("evaluated", self.evaluated);
  }
};

/// Where it would stop, it begins anew from the best.
struct StoppingRun {
  EarlyStopping::Options options;
  EarlyStopping stopping{options};
  Adam optimizer{{.lr = 0.1}};
  Model model{}, best{model};
  Rng rng{11};

  void step() {
    optimizer.step(model, gradients_of(model, rng));
    if (stopping.report(loss_of(model, rng))) nn::set_weights(best, nn::weights(model));
    if (!stopping.stopped()) return;
    nn::set_weights(model, nn::weights(best));
    stopping = EarlyStopping(options);
  }
  static void parts(auto& self, auto&& visit) {
    OptimizerRun<Adam>::parts(self, visit);
    visit("stopping", self.stopping);
    visit("best", self.best);
  }
};

/// By the names of their types.
std::map<std::string, Schedule> schedules() {
  const WarmupSchedule warm{.steps = 3, .then = CosineRestartsSchedule{.lr = 0.1, .period = 4, .factor = 2}};
  return {{"ConstantSchedule", ConstantSchedule{.lr = 0.1}},
          {"StepSchedule", StepSchedule{.lr = 0.1, .every = 3, .gamma = 0.8}},
          {"MultiStepSchedule", MultiStepSchedule{.lr = 0.1, .milestones = {2, 5, 30}, .gamma = 0.5}},
          {"ExponentialSchedule", ExponentialSchedule{.lr = 0.1, .gamma = 0.98}},
          {"PolynomialSchedule", PolynomialSchedule{.lr = 0.1, .steps = 40, .power = 1.5, .minimum = 0.01}},
          {"CosineSchedule", CosineSchedule{.lr = 0.1, .steps = 40, .minimum = 0.01, .warmup = 5}},
          {"CosineRestartsSchedule", CosineRestartsSchedule{.lr = 0.1, .period = 3, .factor = 2}},
          {"OneCycleSchedule", OneCycleSchedule{.lr = 0.1, .steps = 40}},
          {"InverseSqrtSchedule", InverseSqrtSchedule{.lr = 0.1, .warmup = 5}},
          {"WarmupSchedule", warm},
          {"SequenceSchedule",
           SequenceSchedule{{{warm, 7}, {StepSchedule{.lr = 0.1, .every = 2, .gamma = 0.9}, 9}, {warm, 0}}}}};
}

}  // namespace

std::vector<KilledCase> test::killed_training() {
  std::vector<KilledCase> out;
  const auto optimizer = [&](const std::string& name, const auto& fresh) {
    out.push_back(killed_case<OptimizerRun<std::decay_t<decltype(fresh)>>>(name, fresh));
  };
  for_every_library_rule(optimizer);
  for_every_whole_rule(optimizer);
  out.push_back(killed_case<LbfgsRun>("Lbfgs"));
  out.push_back(killed_case<GroupsRun>("groups, noise and clipping"));
  out.push_back(killed_case<WideRun>("several threads"));
  for (const auto& [name, schedule] : schedules()) out.push_back(killed_case<ScheduleRun>(name, schedule));
  const PlateauSchedule::Options plateau{
      .lr = 0.1, .factor = 0.9, .patience = 1, .cooldown = 2, .minimum = 1e-3};
  out.push_back(killed_case<PlateauRun>("PlateauSchedule", plateau));
  const WeightAverage::Options exponential{.decay = 0.9}, mean{};
  out.push_back(killed_case<AverageRun>("exponential average", exponential, false));
  out.push_back(killed_case<AverageRun>("mean", mean, false));
  out.push_back(killed_case<AverageRun>("mean from the trigger on", mean, true));
  out.push_back(killed_case<StoppingRun>("EarlyStopping", EarlyStopping::Options{.patience = 2}));
  return out;
}

TEST_CASE("training that is killed goes on to the bit, with every optimizer, schedule and average",
          "[optim][killed][threads]") {
  for (const KilledCase& one : test::killed_training()) test::check_killed(one);
}

TEST_CASE("all that has state while it trains is among what the tests kill", "[optim]") {
  const auto source = [](const std::string& file) {
    return test::read_bytes(std::filesystem::path(test::source_dir()) / file);
  };
  std::set<std::string> tested{
      "AnyOptimizer"};  // which hands on the state of the others (any_optimizer_test.cpp)
  const std::string tests = source("tests/optim/kill_test.cpp") + source("tests/optim/every_rule.hpp");
  const std::regex word(R"(\w+)");
  for (std::sregex_iterator at(tests.begin(), tests.end(), word), end; at != end; ++at)
    tested.insert(at->str());
  const std::regex rule(R"(\nusing (\w+) = Optimizer<|\nstruct (\w+Schedule) |\nclass (\w+) \{)");
  int found = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(test::source_dir()) / "optim")) {
    if (entry.path().extension() != ".hpp") continue;
    const std::string text = test::read_bytes(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), rule), end; at != end; ++at) {
      const bool is_class = (*at)[3].matched;
      const std::string name = (*at)[is_class ? 3 : (*at)[2].matched ? 2 : 1];
      // Of classes, those that can go on from something.
      const auto begin = static_cast<std::size_t>(at->position());
      const std::string body = text.substr(begin, text.find("\n};", begin) - begin);
      if (is_class && body.find(" set_") == body.npos) continue;
      INFO(name << " of " << entry.path());
      CHECK(tested.contains(name));
      ++found;
    }
  }
  CHECK(found > 25);
}
