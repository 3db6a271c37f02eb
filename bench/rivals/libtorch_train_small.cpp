// The libtorch counterpart of bench/user/train_small.cpp: its compile time is measured.

#include <torch/torch.h>

#include <cstdio>

int main() {
  torch::manual_seed(1);
  torch::nn::Sequential net(torch::nn::Linear(2, 16), torch::nn::Tanh(), torch::nn::Linear(16, 16),
                            torch::nn::Tanh(), torch::nn::Linear(16, 1));
  const auto x = torch::randn({32, 2}), target = torch::sin(x.select(1, 0)).unsqueeze(1);
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  for (int step = 0; step < 1000; ++step) {
    optimizer.zero_grad();
    const auto loss = torch::mse_loss(net->forward(x), target);
    loss.backward();
    optimizer.step();
    if (step % 100 == 0) std::printf("%d %g\n", step, loss.item<double>());
  }
}
