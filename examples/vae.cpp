// A variational autoencoder (Kingma and Welling 2014): points on a noisy ring, through one hidden angle and
// what is left. The noise inside of the network is drawn again in every step, and the loss has two parts.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

struct Autoencoder {
  static constexpr std::int64_t hidden = 2;
  nn::Linear encode_in, encode_out, decode_in, decode_out;

  explicit Autoencoder(Rng& rng)
      : encode_in(rng, 2, 32),
        encode_out(rng, 32, 2 * hidden),
        decode_in(rng, hidden, 32),
        decode_out(rng, 32, 2) {}
  static void members(auto& self, auto&& visit) {
    visit("encode_in", self.encode_in);
    visit("encode_out", self.encode_out);
    visit("decode_in", self.decode_in);
    visit("decode_out", self.decode_out);
  }

  /// z: (batch, hidden), to points, (batch, 2).
  Variable decode(const Variable& z) const { return decode_out(tanh(decode_in(z))); }

  /// The bound on -log p(x), in nats a point: what decoding costs, and what the code says about the point.
  Variable loss(const Tensor& points, Rng& rng) const {
    const Variables parts = split(encode_out(tanh(encode_in(Variable(points)))), {hidden, hidden}, -1);
    const Variable &middle = parts[0], &log_variance = parts[1];
    const Variable z = middle + exp(log_variance / 2) * rng.normal(middle.shape());
    const double deviation = 0.1;
    const Variable decoding = sum(square(decode(z) - points), -1) / (2 * deviation * deviation);
    const Variable code = sum(square(middle) + exp(log_variance) - log_variance - 1, -1) / 2;
    return mean(decoding + code) + 2 * std::log(deviation * std::sqrt(2 * M_PI));
  }
};

Tensor ring(Rng& rng, std::int64_t count) {
  const Tensor angle = rng.uniform({count}, 0, 2 * M_PI);
  return stack({cos(angle), sin(angle)}, -1) + rng.normal({count, 2}, 0, 0.05);  // (count, 2)
}

int main() {
  Rng rng(1);
  Autoencoder model(rng);
  optim::Adam optimizer({.lr = 0.01});
  double first = 0, last = 0;
  for (int step = 0; step < 4000; ++step) {
    Tape tape;
    const Variable loss = model.loss(ring(rng, 128), rng);
    optimizer.step(model, tape.backward(loss), {.clip_norm = 5});
    (step < 20 ? first : last) = loss.item();
  }
  // Points that it makes up, and how far from the ring they are.
  const Tensor made = model.decode(Variable(rng.normal({1000, Autoencoder::hidden}))).value();
  const Tensor off = abs(norm(made, {1}) - 1);
  const double near = mean(less(off, 0.2)).item();
  std::printf(
      "bound: %.2f nats a point at first, %.2f at last; %.0f%% of the made-up points are near the ring\n",
      first, last, 100 * near);
  return last < 1.3 && near > 0.7 ? 0 : 1;
}
