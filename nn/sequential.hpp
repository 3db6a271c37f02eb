#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "autograd/members.hpp"
#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "tensor/random.hpp"

/// Modules made of others. A module that trains otherwise than it evaluates, as Dropout and BatchNorm do, is
/// called with a generator, or with nullptr in evaluation: layer(x, rng). What is made of such modules is
/// called so too, and passes the generator on to them.
namespace gradus::nn {

namespace detail {

template <class Layer, class X>
concept TakesRng = requires(const Layer& layer, const X& x, Rng* rng) {
  layer(x, rng);
};
/// Whether a layer must be called with a generator; one that is made of others knows it from them.
template <class Layer>
constexpr bool needs_rng() {
  if constexpr (requires { Layer::needs_rng; }) {
    return Layer::needs_rng;
  } else {
    return TakesRng<Layer, Variable> && !std::is_invocable_v<const Layer&, const Variable&>;
  }
}

/// layer(x), or layer(x, rng) where there is a generator and the layer takes one.
template <class Layer, class X>
auto call(const Layer& layer, const X& x) {
  return layer(x);
}
template <class Layer, class X>
auto call(const Layer& layer, const X& x, Rng* rng) {
  if constexpr (TakesRng<Layer, X>) {
    return layer(x, rng);
  } else if constexpr (std::is_invocable_v<const Layer&, const X&>) {
    return layer(x);
  } else {
    static_assert(gradus::detail::always_false<Layer, X>,
                  "a layer of a Sequential takes what the one before it gives, as layer(x) or layer(x, rng); "
                  "recurrent ones, which give a state too, do not fit");
  }
}

template <bool needs_rng>
constexpr void refuse_without_rng() {
  static_assert(!needs_rng,
                "a layer in it trains otherwise than it evaluates, as Dropout and BatchNorm do: call "
                "model(x, &rng) to train and model(x, nullptr) to evaluate");
}

}  // namespace detail

/// One layer after another, of any types, under PyTorch's names "0", "1" and so on:
///
///   const nn::Sequential model(nn::Linear(rng, 784, 256), nn::Relu{}, nn::Linear(rng, 256, 10));
///   const Variable logits = model(x);
///
/// The first layer may take something else than a Variable, as an Embedding does. std::get<0>(model.layers)
/// is the first of them.
template <class... Layers>
struct Sequential {
  static constexpr bool needs_rng = (detail::needs_rng<Layers>() || ...);
  std::tuple<Layers...> layers;

  explicit Sequential(Layers... parts) requires(sizeof...(Layers) > 0) : layers(std::move(parts)...) {
    static_assert((Module<Layers> && ...), "the layers of a Sequential are modules");
  }

  template <class X>
  auto operator()(const X& x) const {
    detail::refuse_without_rng<needs_rng>();
    if constexpr (needs_rng) {
      return (*this)(x, static_cast<Rng*>(nullptr));  // refused: no second error
    } else {
      const InModule here(*this);
      return from<0>(x);
    }
  }
  template <class X>
  auto operator()(const X& x, Rng* rng) const {
    const InModule here(*this);
    return from<0>(x, rng);
  }

  static void members(auto& self, auto&& visit) {
    // Made once: an error's path, or a step that asks for none, takes nothing from the heap.
    [&]<std::size_t... i>(std::index_sequence<i...>) {
      (visit(std::string_view(names()[i]), std::get<i>(self.layers)), ...);
    }
    (std::make_index_sequence<sizeof...(Layers)>());
  }

 private:
  static const std::array<std::string, sizeof...(Layers)>& names() {
    static const auto all = [] {
      std::array<std::string, sizeof...(Layers)> out;
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::to_string(i);
      return out;
    }();
    return all;
  }
  /// Without a generator none is passed on, so that a layer which needs one here says so itself.
  template <std::size_t i, class X, class... MaybeRng>
  auto from(const X& x, MaybeRng... rng) const {
    if constexpr (i + 1 == sizeof...(Layers)) {
      return detail::call(std::get<i>(layers), x, rng...);
    } else {
      return from<i + 1>(detail::call(std::get<i>(layers), x, rng...), rng...);
    }
  }
};

/// x + inner(x), where inner keeps the shape (He et al. 2016).
template <class Inner>
struct Residual {
  static constexpr bool needs_rng = detail::needs_rng<Inner>();
  Inner inner;

  explicit Residual(Inner of) : inner(std::move(of)) {}

  Variable operator()(const Variable& x) const {
    detail::refuse_without_rng<needs_rng>();
    if constexpr (needs_rng) {
      return (*this)(x, nullptr);  // refused: no second error
    } else {
      const InModule here(*this);
      return x + detail::call(inner, x);
    }
  }
  Variable operator()(const Variable& x, Rng* rng) const {
    const InModule here(*this);
    return x + detail::call(inner, x, rng);
  }
  static void members(auto& self, auto&& visit) { visit("inner", self.inner); }
};

}  // namespace gradus::nn
