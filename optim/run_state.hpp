#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tensor/safetensors.hpp"

namespace gradus::optim {

namespace detail {
struct AnyField {
  void operator()(std::string_view, const auto&) const {}
};
}  // namespace detail

/// A struct of numbers that names them, such as EarlyStopping::State, Rng::State or LoaderState:
///
///   static void fields(auto& self, auto&& visit) {
///     visit("best", self.best);
///     visit("bad", self.bad);
///   }
template <class T>
concept StateOfNumbers = requires(const T& state) {
  T::fields(state, detail::AnyField{});
};

/// All that a run goes on from, in one safetensors file: sets of tensors, numbers and states of numbers, by
/// name.
///
///   RunState run;
///   run.put("model", nn::weights(model));
///   run.put("optimizer", optimizer.state(model));
///   run.put("stopping", stopping.state());
///   run.put("rng", rng.state());
///   run.put("step", step);
///   run.save(file);
///
///   const RunState run = RunState::load(file);
///   nn::set_weights(model, run.tensors("model"));
///   optimizer.set_state(model, run.tensors("optimizer"));
///   stopping.set_state(run.get<EarlyStopping::State>("stopping"));
///   rng = Rng(run.get<Rng::State>("rng"));
///   step = run.get<std::int64_t>("step");
///
/// Whole numbers, floats and doubles are kept exactly. A name stands for one thing; what is put under it
/// again replaces it.
class RunState {
 public:
  /// Throws ArgumentError for a name that is empty or holds a point, which stands between it and the names
  /// inside.
  void put(const std::string& name, const Safetensors& part);
  template <class T>
  requires std::is_arithmetic_v<T>
  void put(const std::string& name, T number) {
    clear(name);
    numbers_.emplace(name, text_of(number));
  }
  void put(const std::string& name, const std::vector<double>& numbers);
  template <StateOfNumbers T>
  void put(const std::string& name, const T& state) {
    clear(name);
    T::fields(state, [&](std::string_view field, const auto& number) {
      numbers_.emplace(inside(name, field), text_of(number));
    });
  }

  /// What was put under a name. Throw DataError, naming the file, when there is nothing, or something else,
  /// and list what there is.
  Safetensors tensors(const std::string& name) const;
  template <class T>
  requires std::is_arithmetic_v<T> T get(const std::string& name)
  const { return parse<T>(name); }
  template <StateOfNumbers T>
  T get(const std::string& name) const {
    T out;
    T::fields(out, [&](std::string_view field, auto& number) {
      number = parse<std::remove_cvref_t<decltype(number)>>(inside(name, field));
    });
    return out;
  }
  std::vector<double> numbers(const std::string& name) const;
  bool contains(const std::string& name) const;

  /// Replaces an older file only once this one is whole, so a run that is killed finds one of the two. The
  /// file holds a checksum of all that is in it. Throws DataError naming the file.
  void save(const std::filesystem::path& file) const;
  /// Throws what load_safetensors throws, and DataError where the checksum is another.
  static RunState load(const std::filesystem::path& file);

 private:
  static void check_name(const std::string& name);
  /// Takes out what is under the name.
  void clear(const std::string& name);
  static std::string inside(const std::string& name, std::string_view field) {
    return name + "." + std::string(field);
  }
  // As the shortest text that gives the same number again; a bool as 0 or 1.
  static std::string text_of(double number);
  static std::string text_of(std::int64_t number);
  static std::string text_of(std::uint64_t number);
  template <class T>
  static std::string text_of(T number) {
    if constexpr (std::floating_point<T>) {
      return text_of(static_cast<double>(number));
    } else if constexpr (std::signed_integral<T>) {
      return text_of(static_cast<std::int64_t>(number));
    } else {
      return text_of(static_cast<std::uint64_t>(number));
    }
  }
  double parse_double(const std::string& name) const;
  std::int64_t parse_signed(const std::string& name) const;
  std::uint64_t parse_unsigned(const std::string& name) const;
  /// Throws DataError for a number outside of T.
  template <class T>
  T parse(const std::string& name) const {
    if constexpr (std::floating_point<T>) {
      const double number = parse_double(name);
      if (std::isfinite(number) && std::abs(number) > static_cast<double>(std::numeric_limits<T>::max()))
        fail_number(name);
      return static_cast<T>(number);
    } else if constexpr (std::signed_integral<T>) {
      return narrow<T>(name, parse_signed(name));
    } else {
      return narrow<T>(name, parse_unsigned(name));
    }
  }
  template <class T>
  T narrow(const std::string& name, auto number) const {
    const auto out = static_cast<T>(number);
    if (static_cast<decltype(number)>(out) != number) fail_number(name);
    return out;
  }
  const std::string& find_number(const std::string& name) const;
  [[noreturn]] void fail_number(const std::string& name) const;
  [[noreturn]] void fail_missing(const std::string& name) const;

  std::string file_ = "the run's state";      // what errors call it
  std::map<std::string, Safetensors> parts_;  // by name
  std::map<std::string, std::string> numbers_;
};

}  // namespace gradus::optim
