#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "autograd/freeze.hpp"
#include "nn/norm.hpp"
#include "tensor/compact.hpp"

/// Models with compact weights, for reading and generating: `quantize(model)`.
namespace gradus::nn {

struct QuantizeOptions {
  /// i8: 8 bits and a scale a row; bf16.
  Dtype dtype = Dtype::i8;
  /// The paths of parameters that stay as they are, as `freeze` takes them: {"head.weight", "embed*"}.
  std::vector<std::string> keep = {};
};

/// What came of it.
struct QuantizeReport {
  std::int64_t parameters = 0;                    // numbers that are compact now
  std::size_t bytes_before = 0, bytes_after = 0;  // of all parameters
};

namespace detail {

/// Whether a module's own matrices are read by linear, gather_rows or a recurrent product. Weights of a
/// normalisation over several axes are factors of elements.
template <class M>
constexpr bool has_products =
    !std::same_as<std::remove_const_t<M>, LayerNorm> && !std::same_as<std::remove_const_t<M>, RmsNorm>;

/// Calls visit(path, parameter) for each matrix that becomes compact.
template <class Part, class Visit>
void visit_matrices(const std::string& path, Part& part, bool products, Visit& visit) {
  if constexpr (std::same_as<std::remove_const_t<Part>, Parameter>) {
    if (products && part.value().defined() && part.rank() == 2 && part.size() > 0) visit(path, part);
  } else if constexpr (Module<Part>) {
    std::remove_const_t<Part>::members(part, [&](std::string_view name, auto& inner) {
      visit_matrices(gradus::detail::path_of_part(path, name), inner, has_products<Part>, visit);
    });
  } else if constexpr (gradus::detail::PartList<Part>) {
    for (std::size_t i = 0; i < part.size(); ++i)
      visit_matrices(gradus::detail::path_of_part(path, std::to_string(i)), part[i], products, visit);
  } else if constexpr (gradus::detail::PartHolder<Part>) {
    gradus::detail::visit_held(part, [&](auto& held) { visit_matrices(path, held, products, visit); });
  }
}

}  // namespace detail

/// Makes a module's matrices compact (tensor/compact.hpp): the weights of linear layers, of embeddings and of
/// recurrent layers, in one line:
///
///   nn::quantize(model);                          // 8 bits, a scale a row
///   nn::quantize(model, {.dtype = Dtype::bf16});
///
/// The model then reads and generates as before, with a quarter or half of the memory, and as much faster as
/// memory limits it; it cannot be trained, which throws ArgumentError. `convert(model, Dtype::f32)` makes
/// numbers of f32 of it again, the rounded ones. What is saved of it must be converted so first.
///
/// A module of one's own whose matrix goes elsewhere than to linear, gather_rows or slice lists it in `keep`,
/// or throws DtypeError when it is called. Throws ArgumentError for a dtype that is not compact, and
/// NumericError for weights that are not finite; the model is then unchanged.
template <class M>
QuantizeReport quantize(M& module, const QuantizeOptions& options = {}) {
  if (!is_compact(options.dtype)) {
    fail<ArgumentError>("quantize: to {}, which is not compact; it must be i8 or bf16",
                        name_of(options.dtype));
  }
  QuantizeReport report;
  std::vector<std::pair<Parameter*, Tensor>> made;
  const auto add = [&](const std::string& path, Parameter& parameter) {
    if (is_compact(parameter.dtype()) || gradus::detail::matches(options.keep, path)) return;
    if (gradus::detail::matches({"*lora_?.weight"}, path)) return;  // small, and read beside what is rounded
    made.emplace_back(&parameter, parameter.value().to(options.dtype));
    report.parameters += parameter.size();
  };
  const auto count = [&](std::size_t& bytes) {
    for_each_parameter(module, [&](const std::string&, const Parameter& parameter) {
      bytes += stored_bytes(parameter.value());
    });
  };
  detail::visit_matrices(std::string(), module, true, add);
  count(report.bytes_before);
  for (auto& [parameter, value] : made) parameter->mutable_value() = std::move(value);
  count(report.bytes_after);
  return report;
}

}  // namespace gradus::nn
