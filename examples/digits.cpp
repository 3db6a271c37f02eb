// Digits by convolution: pictures of 16 x 16 that the program draws itself, each a digit of a 3 x 5 font,
// larger or smaller, somewhere in the picture, in noise. A network with batch normalisation learns them from
// a loader that draws on a thread of its own.

#include <gradus.hpp>

#include <algorithm>
#include <cstdio>

using namespace gradus;

constexpr std::int64_t side = 16;
/// Each digit's rows from the top, three bits each.
constexpr const char* font[10] = {"755557", "262227", "717747", "717717", "557711",
                                  "747717", "747757", "711122", "757757", "757717"};

/// (1, side, side), and which digit it shows.
std::pair<Tensor, std::int32_t> draw(std::int64_t, Rng& rng) {
  const auto digit = static_cast<std::size_t>(rng.below(10));
  const double scale = 1.6 + 0.9 * rng.uniform();
  const double left = rng.uniform() * (side - 3 * scale), top = rng.uniform() * (side - 6 * scale);
  const Tensor picture = rng.normal({1, side, side}, 0, 0.25);
  std::vector<float> pixels(picture.data<float>(), picture.data<float>() + picture.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::size_t across = i % side, down = i / side;
    const double column = (static_cast<double>(across) - left) / scale;
    const double row = (static_cast<double>(down) - top) / scale;
    if (column < 0 || column >= 3 || row < 0 || row >= 6) continue;
    const int bits = font[digit][static_cast<std::size_t>(row)] - '0';
    if (bits >> (2 - static_cast<int>(column)) & 1) pixels[i] += 1;
  }
  return {Tensor::from(pixels, {1, side, side}), static_cast<std::int32_t>(digit)};
}

auto make_network(Rng& rng) {
  return nn::Sequential(nn::Conv2d(rng, 1, 12, 3, {.padding = 1}), nn::BatchNorm(12), nn::Relu{},
                        nn::MaxPool2d({.kernel = 2}), nn::Conv2d(rng, 12, 24, 3, {.padding = 1}),
                        nn::BatchNorm(24), nn::Relu{}, nn::MaxPool2d({.kernel = 2}), nn::Flatten{},
                        nn::Linear(rng, 24 * 16, 10));
}

int main() {
  Rng rng(1);
  auto model = make_network(rng);
  std::printf("%s", describe(model).c_str());
  Loader training(1280, draw, {.batch = 32, .seed = 1}), held_out(500, draw, {.batch = 500, .seed = 2});
  optim::AdamW optimizer({.lr = 3e-3});
  for (int epoch = 0; epoch < 5; ++epoch) {
    double loss_now = 0;
    for (const auto& [pictures, digits] : training) {  // (batch, 1, side, side), (batch)
      Tape tape;
      const Variable loss = cross_entropy(model(Variable(pictures), &rng), digits);
      optimizer.step(model, tape.backward(loss));
      loss_now = loss.item();
    }
    std::printf("epoch %d: loss %.3f\n", epoch + 1, loss_now);
  }
  int right = 0;
  for (const auto& [pictures, digits] : held_out) {
    const Indices guesses = argmax(model(Variable(pictures), nullptr).value(), -1);
    for (std::int64_t i = 0; i < guesses.size(); ++i) right += guesses.data()[i] == digits.data()[i];
  }
  std::printf("%d of 500 new digits right\n", right);
  return right >= 450 ? 0 : 1;
}
