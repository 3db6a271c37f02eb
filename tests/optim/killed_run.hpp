#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "nn/cell.hpp"
#include "nn/weights.hpp"
#include "optim/run_state.hpp"
#include "tensor/random.hpp"

/// Runs that are killed while they train and save, each in a process of its own, and go on from what they
/// left. A test hands over a struct with a step and a list of what is kept:
///
///   struct Run {
///     nn::Linear model = ...;
///     optim::AdamW optimizer;
///     Rng rng{1};
///     void step() { ... }
///     static void parts(auto& self, auto&& visit) {
///       visit("model", self.model);          // first, as optimizers and averages are asked for its state
///       visit("optimizer", self.optimizer);
///       visit("rng", self.rng);
///     }
///   };
namespace gradus::test {

/// Something that trains; made anew, it stands before its first step.
class KilledRun {
 public:
  KilledRun() = default;
  KilledRun(const KilledRun&) = delete;
  KilledRun& operator=(const KilledRun&) = delete;
  virtual ~KilledRun() = default;
  virtual void step() = 0;
  virtual void put(optim::RunState& to) const = 0;
  virtual void take(const optim::RunState& from) = 0;
};
struct KilledCase {
  std::string name;
  std::function<std::unique_ptr<KilledRun>()> make;
};

/// All cases by their names, which a process that is to be killed is told: kill_test.cpp and
/// kill_layers_test.cpp.
std::vector<KilledCase> killed_training();
std::vector<KilledCase> killed_layers();

/// Kills processes that train the case, each of which goes on from what the one before left in its file, and
/// compares each file, and a run that goes on from the last one, with a run that was left alone.
void check_killed(const KilledCase& one);

/// What a recurrent layer hands from one batch to the next.
template <class State>
struct Carried {
  State state{};
};

namespace detail {

using optim::RunState;

template <class T>
inline constexpr bool is_carried = false;
template <class State>
inline constexpr bool is_carried<Carried<State>> = true;

template <class T, class Model>
concept HasStateOfModel = requires(const T& part, const Model& model) {
  { part.state(model) } -> std::same_as<Safetensors>;
};
template <class T>
concept HasTensors = requires(const T& part) {
  { part.state() } -> std::same_as<Safetensors>;
};
template <class T>
concept HasNumbers = requires(const T& part) {
  requires optim::StateOfNumbers<std::remove_cvref_t<decltype(part.state())>>;
};

/// Each kind of part as a user saves it.
template <class T, class Model>
void put_part(RunState& to, const std::string& name, const T& part, const Model& model) {
  if constexpr (std::is_arithmetic_v<T>) {
    to.put(name, part);
  } else if constexpr (HasStateOfModel<T, Model>) {
    to.put(name, part.state(model));
  } else if constexpr (HasTensors<T> || HasNumbers<T>) {
    to.put(name, part.state());
  } else if constexpr (requires { part.losses(); }) {
    to.put(name, part.losses());
  } else if constexpr (is_carried<T>) {
    Safetensors hidden;
    const auto parts = std::remove_cvref_t<decltype(part.state)>::parts(part.state);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i]->value().defined()) hidden.tensors.emplace(std::to_string(i), parts[i]->value());
    }
    to.put(name, hidden);
  } else {
    to.put(name, nn::weights(part));
  }
}
template <class T, class Model>
void take_part(const RunState& from, const std::string& name, T& part, const Model& model) {
  if constexpr (std::is_arithmetic_v<T>) {
    part = from.get<T>(name);
  } else if constexpr (HasStateOfModel<T, Model>) {
    part.set_state(model, from.tensors(name));
  } else if constexpr (std::same_as<T, Rng>) {
    part = Rng(from.get<Rng::State>(name));
  } else if constexpr (HasTensors<T>) {
    part.set_state(from.tensors(name));
  } else if constexpr (HasNumbers<T>) {
    using State = std::remove_cvref_t<decltype(part.state())>;
    if constexpr (requires { part.restore(part.state()); }) {
      part.restore(from.get<State>(name));
    } else {
      part.set_state(from.get<State>(name));
    }
  } else if constexpr (requires { part.losses(); }) {
    part.set_losses(from.numbers(name));
  } else if constexpr (is_carried<T>) {
    const Safetensors hidden = from.tensors(name);
    const auto parts = std::remove_cvref_t<decltype(part.state)>::parts(part.state);
    for (std::size_t i = 0; i < parts.size() && !hidden.tensors.empty(); ++i)
      *parts[i] = Variable(hidden.tensors.at(std::to_string(i)));
  } else {
    nn::set_weights(part, from.tensors(name));
  }
}

}  // namespace detail

/// A run of such a struct.
template <class Run>
class RunOf final : public KilledRun {
 public:
  template <class... Arguments>
  explicit RunOf(Arguments&&... arguments) : run_{std::forward<Arguments>(arguments)...} {}
  void step() override { run_.step(); }
  void put(optim::RunState& to) const override {
    Run::parts(run_,
               [&](const char* name, const auto& part) { detail::put_part(to, name, part, run_.model); });
  }
  void take(const optim::RunState& from) override {
    Run::parts(run_, [&](const char* name, auto& part) { detail::take_part(from, name, part, run_.model); });
  }

 private:
  Run run_;
};

/// A case that begins with `Run{arguments...}`.
template <class Run, class... Arguments>
KilledCase killed_case(std::string name, const Arguments&... arguments) {
  return {std::move(name), [arguments...]() -> std::unique_ptr<KilledRun> {
            return std::make_unique<RunOf<Run>>(arguments...);
          }};
}

}  // namespace gradus::test
