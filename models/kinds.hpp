#pragma once

#include <any>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "autograd/parameter_view.hpp"
#include "models/erased_model.hpp"
#include "models/networks.hpp"
#include "models/train.hpp"
#include "nn/lora.hpp"
#include "nn/quantize.hpp"
#include "tensor/safetensors.hpp"
#include "text/batches.hpp"

/// The kinds of neural language models that the library knows by name: `gradus train` trains them, files keep
/// them, the demo compares them. They are listed once, in kinds.cpp.
namespace gradus::models {

struct AdaptOptions;
struct NetworkKind;
struct NetworkView;

/// What a network says of a batch in training.
struct ErasedLoss {
  Variable mean;     // the mean cross entropy in nats
  Variable penalty;  // what is added to it for the gradient; undefined where that is nothing
  std::any next;     // the state to go on from, detached
};

/// A network of one of the kinds.
class ErasedNetwork {
 public:
  virtual ~ErasedNetwork() = default;
  virtual TrainProgress train(std::span<const std::int32_t> tokens, const TrainOptions& options,
                              const TrainReport& report = {}) = 0;
  virtual const NetworkKind& kind() const = 0;
  virtual std::int64_t parameters() const = 0;
  virtual const NetworkOptions& options() const = 0;
  virtual Safetensors weights() const = 0;
  /// As nn::set_weights.
  virtual void set_weights(const Safetensors& content, const std::string& name) = 0;
  /// A NeuralModel of a copy of the network.
  virtual ErasedModel model() const = 0;
  virtual std::unique_ptr<ErasedNetwork> copy() const = 0;
  /// The parameters where they are; a frozen one is among them.
  virtual ParameterView parameter_view() = 0;
  /// As models::views and models::embeddings of the network (models/inspect.hpp).
  virtual std::vector<NetworkView> views(std::span<const std::int32_t> ids) const = 0;
  virtual Tensor embeddings() const = 0;

  // For a training loop of any sort (models/run/trainer.hpp has one). A state is one of the network's own,
  // for a number of texts side by side.
  virtual std::any start(std::int64_t batch) const = 0;
  /// Whether the state after a batch is what the next one begins with.
  virtual bool carries_state() const = 0;
  /// The loss of a batch; in training, with a generator of dropout. Throws ArgumentError for penalties of a
  /// network that has none (models/networks.hpp).
  virtual ErasedLoss loss(const Batch& batch, const std::any& state, Rng* rng,
                          const ActivationPenalties& penalties = {}) const = 0;
  /// A carried state as tensors, and back; one that is not carried has none.
  virtual Safetensors state_tensors(const std::any& state) const = 0;
  virtual std::any state_of(const Safetensors& tensors, std::int64_t batch) const = 0;

  // What is said of the same functions of modules holds here: autograd/members.hpp, autograd/freeze.hpp,
  // nn/lora.hpp.
  virtual void convert(Dtype dtype) = 0;
  virtual void freeze(const std::vector<std::string>& patterns) = 0;
  virtual nn::LoraReport add_lora(Rng& rng, const std::vector<std::string>& patterns,
                                  const nn::LoraOptions& options) = 0;
  /// Merges adapters, where there are some.
  virtual void merge_lora() = 0;
};

/// Sizes and training that suit a kind when the user says nothing else.
struct NetworkDefaults {
  std::int64_t embedding = NetworkOptions{}.embedding, width;
  int layers = 1;
  std::int64_t heads = NetworkOptions{}.heads, context = 64;  // of transformers
  int order = NetworkOptions{}.order;
  double dropout = 0;
  double lr;
  std::int64_t tokens;  // to be read in training, in as many epochs as that takes
};

/// A model with compact weights (nn/quantize.hpp), and what came of it.
struct QuantizedModel {
  ErasedModel model;
  nn::QuantizeReport report;
};

struct NetworkKind {
  std::string_view name;
  std::string_view about;  // a sentence: what sets it apart from those before it in the list
  NetworkDefaults words, characters;
  const std::type_info* type;  // of the network
  std::unique_ptr<ErasedNetwork> (*make)(Rng& rng, const NetworkOptions& options);
  /// No network of these options has fewer parameters: to be asked before memory is taken for one.
  double (*fewest_parameters)(const NetworkOptions& options);
  /// The same model with compact weights, or nothing where it is of another kind; see `quantized`.
  std::optional<QuantizedModel> (*quantized)(const ErasedModel& model, const nn::QuantizeOptions& options);
  /// The model with what models/adapt/adapt.hpp makes of networks: one that adapts, the mean squares of its
  /// training gradients, and what a state of dynamic evaluation has learned. Nothing where the model is of
  /// another kind.
  std::optional<ErasedModel> (*adapted)(const ErasedModel& model, const AdaptOptions& options);
  std::optional<Safetensors> (*training_mean_squares)(const ErasedModel& model,
                                                      std::span<const std::int32_t> tokens);
  std::optional<Safetensors> (*learned_weights)(const ErasedModel& model, const ErasedModel::State& state);
  bool has_order;       // sees the last order - 1 tokens only; without layers
  bool is_recurrent;    // an nn::Rnn, Gru or Lstm, with the regularisers of AWD-LSTM
  bool is_transformer;  // has heads and a context
};

const std::vector<NetworkKind>& network_kinds();
/// "feed-forward, rnn, gru" and so on.
std::string network_kind_names();
/// The kind of that name, or null.
const NetworkKind* find_network_kind(std::string_view name);
/// The kind of a network of that type. Throws ArgumentError for one that is not in the list.
const NetworkKind& network_kind_of(const std::type_info& type);

/// A model of one of the kinds with compact weights; the given one stays exact. Throws ArgumentError for what
/// is no network, such as an n-gram model, and as nn::quantize.
QuantizedModel quantized(const ErasedModel& model, const nn::QuantizeOptions& options = {});

}  // namespace gradus::models
