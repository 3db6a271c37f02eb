// The extensions of examples/, written for libtorch as its documentation does, to count what each takes
// (bench/extension_lines.py). It checks itself where the examples do.

#include <torch/torch.h>

#include <cmath>
#include <iostream>

using torch::Tensor;

// custom_op begins
struct Softsign : torch::autograd::Function<Softsign> {
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x) {
    ctx->save_for_backward({x});
    return x / (1 + x.abs());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const Tensor d = 1 + ctx->get_saved_variables()[0].abs();
    return {gradients[0] / (d * d)};
  }
};
Tensor softsign(const Tensor& x) {
  return Softsign::apply(x);
}
// custom_op ends

// several_results begins
struct Polar : torch::autograd::Function<Polar> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* ctx, const Tensor& x,
                                                const Tensor& y) {
    ctx->save_for_backward({x, y});
    return {torch::hypot(x, y), torch::atan2(y, x)};
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gs) {
    const auto saved = ctx->get_saved_variables();
    const Tensor x = saved[0], y = saved[1], r = torch::hypot(x, y);
    const Tensor along = gs[0].defined() ? gs[0] / r : torch::zeros_like(x);
    const Tensor across = gs[1].defined() ? gs[1] / r.square() : torch::zeros_like(x);
    return {along * x - across * y, along * y + across * x};
  }
};
// several_results ends

// custom_elementwise begins
// Two kernels of one pass are written by hand: the fusion of Gradus's form has no counterpart in libtorch.
Tensor swish(const Tensor& x, const Tensor& beta) {
  return x / (1 + torch::exp(-beta * x));
}
Tensor huber_swish(const Tensor& x, const Tensor& beta) {
  const Tensor y = swish(x, beta);
  return torch::where(y.abs() < 1, 0.5 * y * y, y.abs() - 0.5);
}
// custom_elementwise ends

// custom_layer begins
struct HighwayImpl : torch::nn::Module {
  torch::nn::Linear change, gate;

  explicit HighwayImpl(int64_t width) : change(width, width), gate(width, width) {
    register_module("change", change);
    register_module("gate", gate);
  }
  Tensor forward(const Tensor& x) {
    const Tensor t = torch::sigmoid(gate->forward(x));
    return t * torch::tanh(change->forward(x)) + (1 - t) * x;
  }
};
TORCH_MODULE(Highway);
// custom_layer ends

// custom_loss begins
Tensor focal(const Tensor& logits, const Tensor& targets, double gamma = 2) {
  const Tensor cost = torch::nn::functional::cross_entropy(
      logits, targets, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
  return ((1 - (-cost).exp()).pow(gamma) * cost).mean();
}
// custom_loss ends

// custom_optimizer begins
struct SignumOptions : torch::optim::OptimizerCloneableOptions<SignumOptions> {
  explicit SignumOptions(double lr = 1e-4) : lr_(lr) {}
  TORCH_ARG(double, lr) = 1e-4;
  TORCH_ARG(double, beta) = 0.9;
  TORCH_ARG(double, weight_decay) = 0;

 public:
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("lr", torch::IValue(lr()));
    archive.write("beta", torch::IValue(beta()));
    archive.write("weight_decay", torch::IValue(weight_decay()));
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    torch::IValue value;
    archive.read("lr", value);
    lr(value.toDouble());
    archive.read("beta", value);
    beta(value.toDouble());
    archive.read("weight_decay", value);
    weight_decay(value.toDouble());
  }
  double get_lr() const override { return lr(); }
  void set_lr(const double value) override { lr(value); }
};
struct SignumState : torch::optim::OptimizerCloneableParamState<SignumState> {
  TORCH_ARG(Tensor, m);

 public:
  void serialize(torch::serialize::OutputArchive& archive) const override { archive.write("m", m()); }
  void serialize(torch::serialize::InputArchive& archive) override {
    Tensor value;
    archive.read("m", value);
    m(value);
  }
};
class Signum : public torch::optim::Optimizer {
 public:
  Signum(std::vector<Tensor> parameters, SignumOptions options = SignumOptions())
      : Optimizer({torch::optim::OptimizerParamGroup(std::move(parameters))},
                  std::make_unique<SignumOptions>(options)) {
    TORCH_CHECK(options.lr() >= 0, "Signum: invalid lr: ", options.lr());
    TORCH_CHECK(0 <= options.beta() && options.beta() < 1, "Signum: invalid beta: ", options.beta());
    TORCH_CHECK(options.weight_decay() >= 0, "Signum: invalid weight_decay: ", options.weight_decay());
  }

  Tensor step(LossClosure closure = nullptr) override {
    Tensor loss;
    if (closure != nullptr) {
      at::AutoGradMode on(true);
      loss = closure();
    }
    torch::NoGradGuard off;
    for (auto& group : param_groups_) {
      const auto& options = static_cast<const SignumOptions&>(group.options());
      for (auto& p : group.params()) {
        if (!p.grad().defined()) continue;
        TORCH_CHECK(!p.grad().is_sparse(), "Signum does not support sparse gradients");
        auto& kept = state_[c10::guts::to_string(p.unsafeGetTensorImpl())];
        if (kept == nullptr) {
          auto made = std::make_unique<SignumState>();
          made->m(torch::zeros_like(p));
          kept = std::move(made);
        }
        auto& m = static_cast<SignumState&>(*kept).m();
        m.mul_(options.beta()).add_(p.grad(), 1 - options.beta());
        p.sub_(options.lr() * (m.sign() + options.weight_decay() * p));
      }
    }
    return loss;
  }

  void save(torch::serialize::OutputArchive& archive) const override {
    torch::optim::serialize<SignumState, SignumOptions>(archive, *this);
  }
  void load(torch::serialize::InputArchive& archive) override {
    torch::optim::serialize<SignumState, SignumOptions>(archive, *this);
  }
};
// custom_optimizer ends

// custom_schedule begins
class CooldownSchedule : public torch::optim::LRScheduler {
 public:
  CooldownSchedule(torch::optim::Optimizer& optimizer, double lr, unsigned steps, unsigned warmup,
                   unsigned cooldown)
      : LRScheduler(optimizer), lr_(lr), steps_(steps), warmup_(warmup), cooldown_(cooldown) {}

 private:
  std::vector<double> get_lrs() override {
    std::vector<double> rates = get_current_lrs();
    std::fill(rates.begin(), rates.end(), rate(step_count_));
    return rates;
  }
  double rate(unsigned step) const {
    const auto part = [](unsigned a, unsigned b) { return static_cast<double>(a) / b; };
    if (step < warmup_) return lr_ * part(step + 1, warmup_);
    if (step < steps_ - cooldown_) return lr_;
    return step < steps_ ? lr_ * (1 - std::sqrt(part(step - (steps_ - cooldown_), cooldown_))) : 0;
  }
  double lr_;
  unsigned steps_, warmup_, cooldown_;
};
// custom_schedule ends

// custom_model begins
struct LstmLmImpl : torch::nn::Module {
  torch::nn::Embedding embed;
  torch::nn::LSTM lstm;
  torch::nn::Linear head;
  using State = std::tuple<Tensor, Tensor>;

  LstmLmImpl(int64_t vocab, int64_t width) : embed(vocab, width), lstm(width, width), head(width, vocab) {
    register_module("embed", embed);
    register_module("lstm", lstm);
    register_module("head", head);
  }
  std::pair<Tensor, State> forward(const Tensor& x, const State& s) {
    auto [h, next] = lstm->forward(embed->forward(x), s);
    return {head->forward(h), next};
  }
};
TORCH_MODULE(LstmLm);
// custom_model ends

int main() {
  torch::manual_seed(1);
  const auto f64 = torch::dtype(torch::kDouble);
  const Tensor x = torch::randn({5}, f64).requires_grad_(), y = torch::randn({5}, f64).requires_grad_();
  softsign(x).sum().backward();
  bool good = torch::allclose(x.grad(), 1 / (1 + x.abs()).square());
  x.mutable_grad().reset();
  Polar::apply(x, y)[0].sum().backward();
  good &= torch::allclose(x.grad(), x / torch::hypot(x, y));
  good &= huber_swish(x, torch::ones({}, f64)).isfinite().all().item<bool>();

  Highway layer(8);
  const Tensor in = torch::randn({64, 8}), target = torch::sin(3 * in);
  Signum optimizer(layer->parameters(), SignumOptions(5e-3));
  CooldownSchedule schedule(optimizer, 5e-3, 300, 10, 100);
  double first = 0, last = 0;
  for (int step = 0; step < 300; ++step) {
    optimizer.zero_grad();
    const Tensor loss = torch::mse_loss(layer->forward(in), target);
    loss.backward();
    optimizer.step();
    schedule.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  good &= last < first / 2;
  good &= focal(torch::zeros({2, 2}), torch::zeros({2}, torch::kLong)).item<double>() < 0.2;
  LstmLm model(10, 4);
  const auto [logits, state] =
      model->forward(torch::zeros({3, 2}, torch::kLong), {torch::zeros({1, 2, 4}), torch::zeros({1, 2, 4})});
  good &= logits.sizes() == torch::IntArrayRef({3, 2, 10});
  std::cout << (good ? "all extensions work" : "an extension is wrong") << '\n';
  return good ? 0 : 1;
}
