// A run that may be killed at any moment and goes on to the same bits. Here it is killed three times, and
// compared with a run that was left alone.

#include <gradus.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

using namespace gradus;

// resuming begins
struct Run {
  Rng rng{1};
  nn::Linear model{rng, 8, 8};
  optim::AdamW optimizer{{.lr = 0.01}};
  optim::WeightAverage average{{.decay = 0.99}};
  optim::PlateauSchedule schedule;
  std::int64_t step = 0;

  void save(const std::filesystem::path& file) const {
    optim::RunState state;
    state.put("model", nn::weights(model));
    state.put("optimizer", optimizer.state(model));
    state.put("average", average.state(model));
    state.put("schedule", schedule.state());
    state.put("rng", rng.state());
    state.put("step", step);
    state.save(file);
  }
  void load(const std::filesystem::path& file) {
    const optim::RunState state = optim::RunState::load(file);
    nn::set_weights(model, state.tensors("model"));
    optimizer.set_state(model, state.tensors("optimizer"));
    average.set_state(model, state.tensors("average"));
    schedule.set_state(state.get<optim::PlateauSchedule::State>("schedule"));
    rng = Rng(state.get<Rng::State>("rng"));
    step = state.get<std::int64_t>("step");
  }
  // resuming ends

  void train(std::int64_t end, const std::filesystem::path& file) {
    while (step < end) {
      Tape tape;
      const Tensor x = rng.normal({16, 8});
      const Variable loss = nn::mse(model(Variable(x)), sin(x));
      optimizer.set_lr(schedule.lr());
      optimizer.step(model, tape.backward(loss));
      schedule.report(loss.item());
      average.update(model);
      if (++step % 5 == 0 && !file.empty()) save(file);
    }
  }
};

int main() {
  const auto file = std::filesystem::temp_directory_path() / ("gradus_resuming_" + std::to_string(getpid()));
  for (int kills = 0; kills < 3; ++kills) {
    const pid_t child = fork();
    if (child == 0) {
      Run run;
      if (std::filesystem::exists(file)) run.load(file);
      run.train(1'000'000, file);
    }
    while (!std::filesystem::exists(file)) usleep(1000);
    usleep(20'000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  Run resumed, whole;
  resumed.load(file);
  const std::int64_t from = resumed.step, end = from + 100;
  std::filesystem::remove(file);
  resumed.train(end, {});
  whole.train(end, {});
  const bool same = identical(whole.model.weight.value(), resumed.model.weight.value());
  std::printf("killed three times, the last time after step %lld: %s weights as of an unbroken run\n",
              static_cast<long long>(from), same ? "the same" : "other");
  return same ? 0 : 1;
}
