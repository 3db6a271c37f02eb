#include "nn/lora.hpp"

#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <map>

#include "autograd/ops/arithmetic.hpp"
#include "nn/dropout.hpp"
#include "tensor/compact.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

thread_local Rng* dropout_generator = nullptr;

}  // namespace

LoraDropout::LoraDropout(Rng* rng) noexcept : before_(std::exchange(dropout_generator, rng)) {}
LoraDropout::~LoraDropout() {
  dropout_generator = before_;
}

Variable LoraAdapter::call(const Variable& x, const Variable& weight, const Variable& bias,
                           Where where) const {
  Variable y = linear(x, weight, bias, where);
  if (is_merged()) return y;
  const Variable low = linear(nn::dropout(x, dropout, dropout_generator), a, {}, where);  // (..., rank)
  // The scale is applied where there are the fewest numbers.
  return VariableOperand(std::move(y), where) + linear(VariableOperand(low, where) * scale(), b, {}, where);
}

Variable LoraAdapter::added_to(const Variable& weight, Where where) const {
  if (is_merged()) return weight;
  // Of a model that was quantized with its adapters, and only reads.
  const Variable exact = is_compact(weight.dtype()) ? Variable(weight.value().to(Dtype::f32)) : weight;
  return VariableOperand(exact, where) + matmul(VariableOperand(b, where) * scale(), a, {}, where);
}

namespace detail {

namespace {

std::string joined(const LinearLayers& layers) {
  std::vector<std::string> paths;
  for (const auto& at : layers) paths.push_back(at.path.empty() ? "the model itself" : at.path);
  return fmt::format("{}", fmt::join(paths, ", "));
}
std::string named(const std::string& path) {
  return path.empty() ? "the layer" : path;
}

void check(const LoraOptions& options) {
  if (options.rank < 1) fail<ArgumentError>("LoRA of rank {}; it must be at least 1", options.rank);
  if (!(options.alpha > 0 && std::isfinite(options.alpha)))
    fail<ArgumentError>("LoRA with alpha {}; it must be above 0", options.alpha);
  check_rate("LoRA", options.dropout);
}
void check_exact(const char* function, const LinearAt<Linear>& at) {
  const Dtype dtype = at.layer->weight.dtype();
  if (!is_compact(dtype)) return;
  fail<ArgumentError>(
      "{}: {} is quantized, its weights are of {}; adapters go with exact weights: quantize the model after "
      "it is merged, or make numbers of f32 of it by convert(model, Dtype::f32)",
      function, named(at.path), name_of(dtype));
}

/// The layers that have an adapter.
template <class Layers>
Layers adapted(const char* function, const Layers& layers) {
  Layers out;
  for (const auto& at : layers) {
    if (at.layer->lora) out.push_back(at);
  }
  if (out.empty()) fail<ArgumentError>("{}: the model has no adapters; add_lora gives it some", function);
  return out;
}
std::vector<std::string> paths_of(const LinearLayers& layers) {
  std::vector<std::string> out;
  for (const auto& at : layers) out.push_back(at.path);
  return out;
}

}  // namespace

std::vector<std::string> add_lora(Rng& rng, const LinearLayers& layers,
                                  const std::vector<std::string>& patterns, const LoraOptions& options) {
  check(options);
  LinearLayers chosen;
  for (const auto& at : layers) {
    if (gradus::detail::matches(patterns, at.path)) chosen.push_back(at);
  }
  if (chosen.empty()) {
    fail<ArgumentError>("add_lora: no linear layer matches {}; the model's are {}", fmt::join(patterns, ", "),
                        joined(layers));
  }
  for (const auto& at : chosen) {
    check_exact("add_lora", at);
    if (at.layer->lora) {
      fail<ArgumentError>("add_lora: {} has an adapter already, of rank {}; remove_lora takes it away",
                          named(at.path), at.layer->lora->a.dim(0));
    }
  }
  for (const auto& [path, layer] : chosen) {
    const Dtype dtype = layer->weight.dtype();
    const std::int64_t out = layer->weight.dim(0), in = layer->weight.dim(1);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    layer->lora.emplace(LoraAdapter{Parameter(uniform(rng, {options.rank, in}, bound).to(dtype)),
                                    Parameter(zeros({out, options.rank}, dtype)), options.alpha,
                                    options.dropout});
  }
  return paths_of(chosen);
}

std::vector<std::string> merge_lora(const LinearLayers& layers) {
  const LinearLayers chosen = adapted("merge_lora", layers);
  for (const auto& at : chosen) {
    if (!at.layer->lora->is_merged()) check_exact("merge_lora", at);
  }
  for (const auto& [path, layer] : chosen) {
    LoraAdapter& lora = *layer->lora;
    if (lora.is_merged()) continue;
    const Tensor weight = layer->weight.value();
    const auto wide = [](const Variable& x) { return x.value().to(Dtype::f64); };
    const Tensor product = matmul(wide(lora.b), wide(lora.a)) * lora.scale();
    layer->weight.mutable_value() = (wide(layer->weight) + product).to(weight.dtype());
    lora.base = weight;
  }
  return paths_of(chosen);
}

std::vector<std::string> unmerge_lora(const LinearLayers& layers) {
  const LinearLayers chosen = adapted("unmerge_lora", layers);
  for (const auto& [path, layer] : chosen) {
    LoraAdapter& lora = *layer->lora;
    if (!lora.is_merged()) continue;
    const Dtype dtype = computing_dtype(layer->weight.dtype());
    layer->weight.mutable_value() = std::exchange(lora.base, Tensor()).to(dtype);
    // Merged adapters are no parts of the model, which may have been converted meanwhile.
    for (Parameter* const parameter : {&lora.a, &lora.b})
      parameter->mutable_value() = parameter->value().to(dtype);
  }
  return paths_of(chosen);
}

std::vector<std::string> remove_lora(const LinearLayers& layers) {
  const LinearLayers chosen = adapted("remove_lora", layers);
  for (const auto& at : chosen) at.layer->lora.reset();
  return paths_of(chosen);
}

namespace {

constexpr const char *a_name = "lora_A.weight", *b_name = "lora_B.weight";

std::string path_in_layer(const std::string& path, const char* name) {
  return gradus::detail::path_of_part(path, name);
}

/// The two matrices of a layer in a file.
struct Pair {
  Tensor a, b;
};

/// What a file says of each layer, by its path, and the names that are no adapter's.
std::map<std::string, Pair> pairs_of(const Safetensors& content, const std::string& prefix,
                                     std::vector<std::string>& others) {
  std::map<std::string, Pair> out;
  for (const auto& [name, tensor] : content.tensors) {
    std::string_view rest = name;
    if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
    const bool is_a = rest.ends_with(a_name), is_b = rest.ends_with(b_name);
    if (is_a || is_b) rest.remove_suffix(std::string_view(a_name).size());
    const bool of_layer = rest.ends_with('.');
    if (!(is_a || is_b) || !(of_layer || rest.empty())) {  // empty: of a model that is one layer
      others.push_back(name);
      continue;
    }
    if (of_layer) rest.remove_suffix(1);
    Pair& pair = out[std::string(rest)];
    (is_a ? pair.a : pair.b) = tensor;
  }
  return out;
}

/// What the file says of alpha of a layer.
double alpha_of(const Safetensors& content, const std::string& path, const std::string& name,
                const LoraFileOptions& options) {
  if (options.alpha) return *options.alpha;
  const auto found = content.metadata.find(path_in_layer(path, "alpha"));
  double alpha = 0;
  if (found == content.metadata.end()) {
    fail<DataError>(
        "{}: it does not say alpha of {}; give it: {{.alpha = 16}} (PEFT keeps it as lora_alpha in "
        "adapter_config.json)",
        name, named(path));
  }
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), alpha);
  if (error != std::errc() || end != text.data() + text.size() || !(alpha > 0 && std::isfinite(alpha)))
    fail<DataError>("{}: alpha of {} is '{}'; it must be a number above 0", name, named(path), text);
  return alpha;
}

void check_fits(const Pair& pair, const LinearAt<Linear>& at, const std::string& name) {
  if (!pair.a.defined() || !pair.b.defined()) {
    fail<DataError>("{}: of {} it has {} and no {}", name, named(at.path), pair.a.defined() ? a_name : b_name,
                    pair.a.defined() ? b_name : a_name);
  }
  const Shape weight = at.layer->weight.shape();
  const std::int64_t rank = pair.a.rank() == 2 ? pair.a.dim(0) : 0;
  if (rank < 1 || pair.a.shape() != Shape{rank, weight[1]} || pair.b.shape() != Shape{weight[0], rank}) {
    fail<DataError>(
        "{}: the adapter of {} has shapes {} and {}; a weight of {} wants (rank, {}) and ({}, rank)", name,
        named(at.path), pair.a.shape(), pair.b.shape(), weight, weight[1], weight[0]);
  }
}

}  // namespace

Safetensors lora_weights(const ConstLinearLayers& layers, const std::string& prefix) {
  Safetensors out;
  out.metadata.emplace("format", "gradus lora");
  for (const auto& [path, layer] : adapted("lora_weights", layers)) {
    out.tensors.emplace(prefix + path_in_layer(path, a_name), layer->lora->a.value());
    out.tensors.emplace(prefix + path_in_layer(path, b_name), layer->lora->b.value());
    out.metadata.emplace(path_in_layer(path, "alpha"), fmt::format("{}", layer->lora->alpha));
  }
  return out;
}

std::vector<std::string> set_lora(const LinearLayers& layers, const Safetensors& content,
                                  const std::string& name, const LoraFileOptions& options) {
  check({.alpha = options.alpha.value_or(1), .dropout = options.dropout});
  std::vector<std::string> unexpected;
  std::map<std::string, Pair> pairs = pairs_of(content, options.prefix, unexpected);
  LinearLayers chosen;
  std::vector<LoraAdapter> made;
  for (const auto& at : layers) {
    const auto found = pairs.find(at.path);
    if (found == pairs.end()) continue;
    check_exact("set_lora", at);
    if (at.layer->lora && at.layer->lora->is_merged())
      fail<ArgumentError>("set_lora: the adapter of {} is merged; unmerge_lora or remove_lora first",
                          named(at.path));
    check_fits(found->second, at, name);
    const Dtype dtype = at.layer->weight.dtype();
    made.push_back({Parameter(found->second.a.to(dtype)), Parameter(found->second.b.to(dtype)),
                    alpha_of(content, at.path, name, options), options.dropout});
    chosen.push_back(at);
    pairs.erase(found);
  }
  for (const auto& rest : pairs) unexpected.push_back(named(rest.first));
  if (!unexpected.empty() || chosen.empty()) {
    fail<DataError>("{}: {}; the model's linear layers are {}", name,
                    unexpected.empty() ? std::string("it has no adapters")
                                       : fmt::format("no adapter of a linear layer of the model: {}",
                                                     fmt::join(unexpected, ", ")),
                    joined(layers));
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    std::optional<LoraAdapter>& lora = chosen[i].layer->lora;
    if (lora && lora->a.shape() == made[i].a.shape()) {
      *lora = std::move(made[i]);  // the same parameters, for an optimizer that knows them
    } else {
      lora.emplace(std::move(made[i]));
    }
  }
  return paths_of(chosen);
}

}  // namespace detail

void refuse_adapters(const char* function, const Safetensors& weights) {
  for (const auto& entry : weights.tensors) {
    if (!entry.first.ends_with(detail::a_name)) continue;
    fail<ArgumentError>(
        "{}: the model has adapters, {}; merge_lora makes an ordinary model of it, and save_lora saves them "
        "alone",
        function, entry.first);
  }
}

}  // namespace gradus::nn
