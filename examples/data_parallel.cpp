// One model that several processes train together, by MPI: mpirun -n 2 example_data_parallel. Needs a Gradus
// that was built where MPI is found (scripts/bootstrap mpi), and links gradus::distributed beside
// gradus::gradus.

#include <cmath>
#include <cstdio>
#include <gradus.hpp>

#include "distributed/gradient_sum.hpp"

using namespace gradus;

int main() {
  const distributed::Communicator all = distributed::Communicator::world();
  // The same numbers in every process, so the same model; each takes its own rows of every batch.
  Rng rng(1);
  nn::Linear hidden(rng, 2, 32), out(rng, 32, 1);
  nn::Sequential model(hidden, nn::Tanh(), out);
  optim::Adam optimizer({.lr = 0.01});
  // step begins
  distributed::GradientSum sum(all, model, 1.0 / all.size());
  double loss_now = 0;
  for (int step = 0; step < 500; ++step) {
    const std::int64_t rows = 64 / all.size();
    const Tensor batch = rng.uniform({64, 2}, -1, 1);  // (rows, 2), of which each process takes a part
    const Tensor x = slice(batch, 0, all.rank() * rows, (all.rank() + 1) * rows);
    const Tensor wanted = slice(x, 1, 0, 1) * slice(x, 1, 1, 2);  // their product
    Tape tape;
    const Variable loss = mean(square(model(Variable(x)) - wanted));
    Gradients rest = tape.backward(loss, {.ready = [&](Gradient& g) { sum.add(g); }});
    optimizer.step(model, sum.finish(std::move(rest)));
    loss_now = loss.item();
  }
  // step ends
  // What is simpler, and sends only when backward is done.
  {
    Tape tape;
    const Variable loss = mean(square(model(Variable(rng.uniform({8, 2}, -1, 1)))));
    optimizer.step(model, distributed::average(model, tape.backward(loss), all));
  }
  if (all.rank() == 0) std::printf("%d processes: a mean square of %.5f at the end\n", all.size(), loss_now);
  return loss_now < 0.01 ? 0 : 1;
}
