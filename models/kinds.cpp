#include "models/kinds.hpp"

#include "models/adapt/adapt.hpp"
#include "models/inspect.hpp"
#include "models/min_gru.hpp"
#include "models/neural.hpp"
#include "models/transformers.hpp"
#include "nn/weights.hpp"

namespace gradus::models {

namespace {

template <nn::RecurrentState State>
Safetensors tensors_of(const State& state) {
  Safetensors out;
  const auto parts = State::parts(state);
  for (std::size_t i = 0; i < parts.size(); ++i) out.tensors.emplace(std::to_string(i), parts[i]->value());
  return out;
}
Safetensors tensors_of(const Window& state) {
  const std::vector<double> ids(state.tokens.values().begin(), state.tokens.values().end());
  Safetensors out;
  out.tensors.emplace("0", Tensor::from(ids, state.tokens.shape()));
  return out;
}
Safetensors tensors_of(const TransformerState&) {
  return {};
}

const Tensor& part_of(const Safetensors& from, std::size_t i, const Shape& shape) {
  const auto found = from.tensors.find(std::to_string(i));
  if (found == from.tensors.end() || found->second.shape() != shape)
    fail<DataError>("the state of a network lacks part {} of shape {}", i, shape);
  return found->second;
}
/// `like`: a state at a beginning, for its shapes.
template <nn::RecurrentState State>
State state_from(const Safetensors& from, const State& like) {
  const auto parts = State::parts(like);
  return nn::state_of<State>(
      [&](std::size_t i) { return Variable(part_of(from, i, parts[i]->shape()).to(parts[i]->dtype())); });
}
Window state_from(const Safetensors& from, const Window& like) {
  const Tensor ids = part_of(from, 0, like.tokens.shape()).to(Dtype::f64);
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < ids.size(); ++i) tokens.push_back(static_cast<std::int32_t>(ids.at(i)));
  return {Indices(std::move(tokens), ids.shape())};
}
TransformerState state_from(const Safetensors&, const TransformerState& like) {
  return like;
}

template <class Network>
class NetworkOf final : public ErasedNetwork {
 public:
  NetworkOf(Rng& rng, const NetworkOptions& options) : network_(rng, options) {}
  TrainProgress train(std::span<const std::int32_t> tokens, const TrainOptions& options,
                      const TrainReport& report) override {
    return models::train(network_, tokens, options, report);
  }
  const NetworkKind& kind() const override { return network_kind_of(typeid(Network)); }
  std::int64_t parameters() const override { return count_parameters(network_); }
  const NetworkOptions& options() const override { return network_.options; }
  Safetensors weights() const override { return nn::weights(network_); }
  void set_weights(const Safetensors& content, const std::string& name) override {
    nn::set_weights(network_, content, name);
  }
  ErasedModel model() const override { return ErasedModel(NeuralModel<Network>{network_}); }
  std::unique_ptr<ErasedNetwork> copy() const override { return std::make_unique<NetworkOf>(*this); }
  ParameterView parameter_view() override { return ParameterView(network_); }
  std::vector<NetworkView> views(std::span<const std::int32_t> ids) const override {
    return models::views(network_, ids);
  }
  Tensor embeddings() const override { return models::embeddings(network_); }

  std::any start(std::int64_t batch) const override { return network_.start(batch); }
  bool carries_state() const override { return detail::carries_state<Network>; }
  ErasedLoss loss(const Batch& batch, const std::any& state, Rng* rng,
                  const ActivationPenalties& penalties) const override {
    const auto& before = std::any_cast<const State&>(state);
    if constexpr (requires { network_.penalized_loss(batch.x, batch.y, before, rng, penalties); }) {
      auto out = network_.penalized_loss(batch.x, batch.y, before, rng, penalties);
      return {std::move(out.mean), std::move(out.penalty), detach(std::move(out.next))};
    } else {
      if (penalties.size != 0 || penalties.change != 0)
        fail<ArgumentError>("penalties of activations are of recurrent networks, and this is {}",
                            kind().name);
      auto [mean, next] = detail::loss_of(network_, batch.x, batch.y, before, rng);
      return {std::move(mean), {}, carries_state() ? detach(next) : before};
    }
  }
  Safetensors state_tensors(const std::any& state) const override {
    return tensors_of(std::any_cast<const State&>(state));
  }
  std::any state_of(const Safetensors& tensors, std::int64_t batch) const override {
    return state_from(tensors, network_.start(batch));
  }

  void convert(Dtype dtype) override { gradus::convert(network_, dtype); }
  void freeze(const std::vector<std::string>& patterns) override { gradus::freeze(network_, patterns); }
  nn::LoraReport add_lora(Rng& rng, const std::vector<std::string>& patterns,
                          const nn::LoraOptions& options) override {
    return nn::add_lora(rng, network_, patterns, options);
  }
  void merge_lora() override {
    bool any = false;
    for (const auto& [path, layer] : nn::detail::linears_of(network_)) any |= layer->lora.has_value();
    if (!any) return;
    nn::merge_lora(network_);
    nn::remove_lora(network_);
  }

 private:
  using State = typename Network::State;
  Network network_;
};

template <class Network>
std::optional<QuantizedModel> quantized_of(const ErasedModel& model, const nn::QuantizeOptions& options) {
  const auto* const of = model.get_if<NeuralModel<Network>>();
  if (of == nullptr) return std::nullopt;
  NeuralModel<Network> copy = *of;
  const nn::QuantizeReport report = nn::quantize(copy.network, options);
  return QuantizedModel{ErasedModel(std::move(copy)), report};
}

template <class Network>
std::optional<ErasedModel> adapted_of(const ErasedModel& model, const AdaptOptions& options) {
  const auto* const of = model.get_if<NeuralModel<Network>>();
  if (of == nullptr) return std::nullopt;
  if (options.neural_cache) return ErasedModel(NeuralCache<Network>(*of, *options.neural_cache));
  return ErasedModel(DynamicEvaluation<Network>(of->network, *options.dynamic, options.mean_squares));
}

template <class Network>
std::optional<Safetensors> mean_squares_of(const ErasedModel& model, std::span<const std::int32_t> tokens) {
  const auto* const of = model.get_if<NeuralModel<Network>>();
  if (of == nullptr) return std::nullopt;
  return gradient_mean_squares(of->network, tokens);
}

template <class Network>
std::optional<Safetensors> learned_of(const ErasedModel& model, const ErasedModel::State& state) {
  using Model = DynamicEvaluation<Network>;
  const auto* const of = model.get_if<Model>();
  const auto* const at = ErasedModel::state_if<Model>(state);
  if (of == nullptr || at == nullptr) return std::nullopt;
  return nn::weights(of->network(*at));
}

template <class Network>
NetworkKind kind(std::string_view name, std::string_view about, const NetworkDefaults& words,
                 const NetworkDefaults& characters) {
  constexpr bool is_recurrent = requires(const Network& network) {
    network.recurrent;
  };
  return {name,
          about,
          words,
          characters,
          &typeid(Network),
          [](Rng& rng, const NetworkOptions& options) -> std::unique_ptr<ErasedNetwork> {
            return std::make_unique<NetworkOf<Network>>(rng, options);
          },
          [](const NetworkOptions& options) { return Network::fewest_parameters(options); },
          &quantized_of<Network>,
          &adapted_of<Network>,
          &mean_squares_of<Network>,
          &learned_of<Network>,
          std::is_same_v<typename Network::State, Window>,
          is_recurrent,
          std::is_same_v<typename Network::State, TransformerState>};
}

}  // namespace

const std::vector<NetworkKind>& network_kinds() {
  static const std::vector<NetworkKind> all{
      kind<FeedForwardNetwork>(
          "feed-forward",
          "Counts cannot tell which tokens are alike. A feed-forward network shares what it learns between "
          "similar ones, but still sees only the last few (short context)",
          {.embedding = 64, .width = 256, .order = 6, .lr = 2e-3, .tokens = 1'800'000},
          {.embedding = 32, .width = 256, .order = 8, .lr = 5e-3, .tokens = 6'000'000}),
      kind<LogBilinearNetwork>("log-bilinear",
                               "A log-bilinear model has no hidden layer: from the vectors of the last "
                               "tokens it predicts the next one's",
                               {.embedding = 96, .width = 96, .order = 6, .lr = 5e-3, .tokens = 1'800'000},
                               {.embedding = 96, .width = 96, .order = 8, .lr = 5e-3, .tokens = 6'000'000}),
      kind<RnnNetwork>("rnn",
                       "A recurrent network has no fixed limit to its context, though its memory fades",
                       {.embedding = 96, .width = 256, .lr = 1e-3, .tokens = 2'700'000},
                       {.embedding = 64, .width = 256, .lr = 4e-3, .tokens = 10'000'000}),
      kind<GruNetwork>("gru", "The gates of a GRU decide what is kept and what is overwritten",
                       {.embedding = 96, .width = 200, .lr = 5e-3, .tokens = 4'600'000},
                       {.embedding = 64, .width = 384, .dropout = 0.15, .lr = 3e-3, .tokens = 12'000'000}),
      kind<LstmNetwork>("lstm", "The LSTM's gates and its cell keep what matters later (long dependencies)",
                        {.embedding = 96, .width = 200, .lr = 5e-3, .tokens = 4'600'000},
                        {.embedding = 64, .width = 384, .dropout = 0.15, .lr = 3e-3, .tokens = 12'000'000}),
      kind<MinGruNetwork>(
          "min-gru",
          "The gates of a minGRU see the input alone, so that all steps are computed at once, by a scan",
          {.width = 128, .layers = 2, .lr = 5e-3, .tokens = 1'800'000},
          {.width = 192, .layers = 2, .lr = 3e-3, .tokens = 3'000'000}),
      kind<GptNetwork>("gpt",
                       "A transformer carries no state from token to token: each looks back at all of a "
                       "context by attention. GPT-2 learns a vector for each position",
                       {.width = 128, .layers = 2, .lr = 3e-3, .tokens = 900'000},
                       {.width = 128, .layers = 4, .lr = 2e-3, .tokens = 3'000'000}),
      kind<LlamaNetwork>("llama",
                         "Llama turns queries and keys by their positions instead, and gates its layers",
                         {.width = 128, .layers = 2, .lr = 3e-3, .tokens = 900'000},
                         {.width = 128, .layers = 4, .lr = 2e-3, .tokens = 3'000'000}),
  };
  return all;
}

std::string network_kind_names() {
  std::string out;
  for (const NetworkKind& kind : network_kinds())
    out += fmt::format("{}{}", out.empty() ? "" : ", ", kind.name);
  return out;
}

const NetworkKind* find_network_kind(std::string_view name) {
  for (const NetworkKind& kind : network_kinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

const NetworkKind& network_kind_of(const std::type_info& type) {
  for (const NetworkKind& kind : network_kinds()) {
    if (*kind.type == type) return kind;
  }
  fail<ArgumentError>("this network is of none of the kinds {}; nn::save_weights saves any network",
                      network_kind_names());
}

QuantizedModel quantized(const ErasedModel& model, const nn::QuantizeOptions& options) {
  for (const NetworkKind& kind : network_kinds()) {
    if (auto out = kind.quantized(model, options)) return std::move(*out);
  }
  fail<ArgumentError>("a model that is no network has no weights to quantize; networks are {}",
                      network_kind_names());
}

}  // namespace gradus::models
